"""Settings of the reference methods, baselines that need no network."""

from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field

from defectbench.config.family_settings import ImageSettings, JobNeeds, Traits


class ReferenceSettings(ImageSettings):
    """Baselines without a network: all-empty, all-full, and a tuned top-hat + Otsu threshold."""

    jobs: ClassVar[JobNeeds | None] = JobNeeds(gpu=False, train_mb=4000, train_minutes=120, predict_mb=4000)
    weights_file: ClassVar[str] = "model.json"

    model: Literal["all_empty", "all_full", "tophat_otsu"]
    seed: int = Field(42, ge=0)

    @cached_property
    def traits(self) -> Traits:
        """The maps of a constant are only yes or no, no scores."""
        return Traits(has_scores=self.model == "tophat_otsu", any_channels=True)

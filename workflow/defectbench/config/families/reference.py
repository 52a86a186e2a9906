"""Settings of the reference methods: what a number is worth."""

from typing import Literal

from pydantic import Field

from defectbench.config.base import Settings


class ReferenceSettings(Settings):
    """Methods that need no network: all-empty, all-full, and a tuned top-hat + Otsu threshold."""

    model: Literal["all_empty", "all_full", "tophat_otsu"]
    seed: int = Field(42, ge=0)

    @property
    def has_scores(self) -> bool:
        """Whether its maps are scores: a constant says mere yes or no, whose mean is not a probability."""
        return self.model == "tophat_otsu"

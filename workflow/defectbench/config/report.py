"""Settings of the comparison and presentation of results."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from defectbench.config.base import Settings

Share = Annotated[float, Field(ge=0, le=1)]


class BootstrapSettings(Settings):
    """Confidence intervals."""

    bootstrap_draws: int = Field(
        2000, ge=100, description="Draws of groups for the intervals; tests take at least 200 per declared comparison"
    )
    bootstrap_seed: int = Field(42, ge=0)


class ComparisonSettings(Settings):
    """Comparisons declared beforehand."""

    ablations: tuple[tuple[str, str], ...] = Field(
        (), description="Pairs of experiments, by name or id, that are tested besides each against the best"
    )
    margin: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Difference of the primary metric, e.g. 0.02, that does not matter: the second of each pair is "
        "tested for being not worse than the first by so much",
    )


class CleanShareSettings(Settings):
    """Images as the line brings them."""

    clean_share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of clean images on the line, e.g. 0.98: dice_all is also given for that share",
    )


class CostSettings(Settings):
    """What wrong decisions on images cost, in any one unit."""

    escape: float = Field(gt=0, description="Cost of a defective image that is missed")
    overkill: float = Field(gt=0, description="Cost of a clean image that is flagged")


class InspectionSettings(CleanShareSettings):
    """Inspection of images on the line."""

    costs: CostSettings | None = Field(
        None, description="With them, operating points have an expected cost, and one has the least"
    )


class ReportSettings(BootstrapSettings, ComparisonSettings, InspectionSettings):
    """Statistics and pictures of a study."""

    gallery_images: int = Field(6, ge=1, le=24, description="Rows of the gallery")
    gallery_bands: tuple[tuple[Share, Share], ...] = Field(
        (), description="A further gallery shows images whose IoU lies in these ranges, e.g. [[0.9, 1], [0.7, 0.8]]"
    )

    @field_validator("gallery_bands")
    @classmethod
    def _bands_are_ranges(cls, bands: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if empty := [band for band in bands if band[0] >= band[1]]:
            raise ValueError(f"{list(empty[0])!r} is no range: give the lower IoU first")
        return bands


class ResultsSettings(BootstrapSettings, CleanShareSettings):
    """Experiments of a results table."""

    experiments: list[Path] = Field(min_length=1, description="Folders of the experiments, in the table's order")
    experiment_of: dict[str, str] = Field(
        {}, description="Experiment id -> name that all seeds of the experiment share; the id itself if it is missing"
    )


class OperatingPointsSettings(BootstrapSettings, InspectionSettings):
    """Experiments whose operating points are found."""

    experiments: list[Path] = Field(min_length=1, description="Folders of the experiments")


class PairwiseSettings(BootstrapSettings, ComparisonSettings):
    """Experiments that are tested against each other."""

    experiments: list[Path] = Field(min_length=1, description="Folders of the experiments")


class NamesSettings(Settings):
    """Names of a study's experiments, apart from their own settings: a new name makes no training stale."""

    names: dict[str, str] = Field({}, description="Experiment id -> name, of the experiments that were given one")
    unabridged_ids: dict[str, str] = Field({}, description="Experiment id -> id with all settings, if it was shortened")
    entries: dict[str, str] = Field({}, description="Experiment id -> name of its entry, whose grid it is a point of")
    searched: dict[str, str] = Field({}, description="Experiment id -> what a search found for it, in words")

    def name_of(self, exp_id: str) -> str:
        """Name of an experiment: the given one, or else its id."""
        return self.names.get(exp_id, exp_id)


NO_NAMES = NamesSettings()


class RankingSettings(Settings):
    """The ranking plot."""

    metric: Literal["dice_all", "test_Dice", "test_mIoU"] = "dice_all"

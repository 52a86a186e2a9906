"""How results are compared and shown."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from defectbench.config.base import Settings


class BootstrapSettings(Settings):
    """Confidence intervals."""

    bootstrap_draws: int = Field(2000, ge=100)
    bootstrap_seed: int = Field(42, ge=0)


class AblationSettings(Settings):
    """Comparisons declared beforehand."""

    ablations: tuple[tuple[str, str], ...] = Field(
        (), description="Pairs of experiment ids that are tested against each other besides each against the best"
    )


class ReportSettings(BootstrapSettings, AblationSettings):
    """Statistics and pictures of a study."""

    gallery_images: int = Field(6, ge=1, le=24, description="Rows of the gallery")


class ResultsSettings(BootstrapSettings):
    """Which experiments a results table holds."""

    experiments: list[Path] = Field(min_length=1, description="Folders of the experiments, in the table's order")
    experiment_of: dict[str, str] = Field(
        {}, description="Experiment id -> name that all seeds of the experiment share; the id itself if it is missing"
    )


class PairwiseSettings(BootstrapSettings, AblationSettings):
    """Which experiments are tested against which."""

    experiments: list[Path] = Field(min_length=1, description="Folders of the experiments")


class RankingSettings(Settings):
    """The ranking plot."""

    metric: Literal["dice_all", "test_Dice", "test_mIoU"] = "dice_all"

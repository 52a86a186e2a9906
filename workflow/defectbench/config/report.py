"""How results are compared and shown."""

from typing import Literal

from pydantic import Field

from defectbench.config.base import Settings


class ReportSettings(Settings):
    """Statistics and pictures of a study."""

    bootstrap_draws: int = Field(2000, ge=100)
    bootstrap_seed: int = Field(42, ge=0)
    gallery_images: int = Field(6, ge=1, description="Rows of the gallery")


class RankingSettings(Settings):
    """The ranking plot."""

    metric: Literal["dice_all", "test_Dice", "test_mIoU"] = "dice_all"

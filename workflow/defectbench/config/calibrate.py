"""How the threshold is chosen on the validation images."""

from typing import Literal

from pydantic import Field

from defectbench.config.base import Settings


class CalibrateSettings(Settings):
    """The threshold policy. Candidates are the codes of p = k/256, k = 1 ... 255."""

    objective: Literal["dice_all", "f1", "youden"] = Field(
        "dice_all", description="What the threshold maximises over all val images, clean ones included"
    )

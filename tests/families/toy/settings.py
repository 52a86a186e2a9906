"""Settings of the toy family: two convolutions."""

from typing import Literal

from pydantic import Field

from defectbench.config.augment import AugmentSettings
from defectbench.config.train import TrainSettings


class ToySettings(TrainSettings):
    """A network of two convolutions, trained by the common loop."""

    model: Literal["toy"] = "toy"
    channels: int = Field(8, ge=1, description="Channels between the two convolutions")
    augment: AugmentSettings = Field("steel", description="steel, none, or what differs from steel")
    loss: Literal["bce", "dice", "dice_bce"] = "dice_bce"

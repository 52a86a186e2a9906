"""Settings of the UNet family's training."""

from typing import Literal

from defectbench.config.train import TrainSettings


class UNetSettings(TrainSettings):
    """A CNN of segmentation-models-pytorch and how it is trained."""

    model: Literal["unet"] = "unet"
    encoder: Literal["resnet18", "resnet34", "resnet50"] = "resnet34"
    encoder_weights: Literal["imagenet", "none"] = "none"
    loss: Literal["dice_focal", "dice_bce"] = "dice_focal"
    augment: Literal["steel", "none"] = "steel"

"""Settings of the UNet family's training."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from defectbench.config.augment import AugmentSettings
from defectbench.config.base import ConfigError, suggest
from defectbench.config.families.unet_encoders import ENCODERS, UNSUPPORTED, WITHOUT_IMAGENET
from defectbench.config.family_settings import Traits
from defectbench.config.train import TrainSettings

# Losses with a binary cross-entropy term: pos_weight has an effect on these alone.
WITH_BCE = ("bce", "combo", "bce75_dice25", "dice_bce")


class UNetSettings(TrainSettings):
    """A CNN of segmentation-models-pytorch and how it is trained.

    Encoders: all names of the library, and any of timm as ``tu-NAME``.
    """

    model: Literal["unet", "unetplusplus", "fpn", "linknet", "pspnet", "deeplabv3", "deeplabv3plus", "dsc_unet"] = (
        Field("unet", description="dsc_unet: U-Net with deep supervision")
    )
    encoder: str = Field("resnet34", description="e.g. resnet50, efficientnet-b3, se_resnext50_32x4d, tu-convnext_tiny")
    encoder_weights: Literal["imagenet", "none"] = "none"
    init_from: Path | None = Field(None, description="Weights to start from: a .safetensors of the same model and task")
    loss: Literal["bce", "dice", "combo", "bce75_dice25", "dice_bce", "dice_focal", "tversky", "lovasz"] = Field(
        "dice_focal", description="See docs/losses.md"
    )
    pos_weight: float | dict[str, float] = Field(
        1.0, description="Weight of defect pixels in a BCE term: one number, or class name -> number"
    )
    presence_head: bool = Field(
        False,
        description="A second output for each map: whether the image or crop shows a defect at all; a pixel counts "
        "only where both agree",
    )
    augment: AugmentSettings = Field(AugmentSettings(), description="steel, none, or the keys that differ from steel")

    @cached_property
    def traits(self) -> Traits:
        """Traits of every trained network, with the encoder as the variant."""
        weights = {"pos_weight": self.pos_weight} if isinstance(self.pos_weight, dict) else {}
        return replace(
            super().traits,
            variant=self.encoder,
            init_from=self.init_from,
            values_by_class=weights,
            any_channels=True,
        )

    @property
    def min_images_per_device(self) -> int:
        """DeepLab normalises features of one pixel over the batch."""
        return 2 if self.model.startswith("deeplab") else 1

    def pos_weights(self, classes: Sequence[str]) -> tuple[float, ...]:
        """Weights of the maps named ``classes``, or the one of all maps.

        Raises:
            ConfigError: if pos_weight names other classes.
        """
        if not isinstance(self.pos_weight, dict):
            return (self.pos_weight,)
        if set(self.pos_weight) != set(classes):
            raise ConfigError([f"pos_weight names {', '.join(self.pos_weight)}; it must name {', '.join(classes)}"])
        return tuple(self.pos_weight[name] for name in classes)

    @field_validator("encoder")
    @classmethod
    def _encoder_is_known(cls, name: str) -> str:
        # The names in timm depend on its version: its own error has to do.
        is_timm = name.startswith("tu-") and name[3:].replace("_", "").replace(".", "").isalnum()
        if name not in ENCODERS and not is_timm:
            raise ValueError(f"{name!r} is not allowed; {suggest(name, [*ENCODERS, 'tu-NAME (timm)'])}")
        return name

    @field_validator("pos_weight")
    @classmethod
    def _weights_are_positive(cls, value: float | dict[str, float]) -> float | dict[str, float]:
        if min(value.values() if isinstance(value, dict) else [value], default=0) <= 0:
            raise ValueError(f"{value!r}: each weight must be greater than 0")
        return value

    @model_validator(mode="after")
    def _network_exists(self) -> Self:
        if self.encoder.startswith(UNSUPPORTED.get(self.model, ())) and not self.encoder.startswith("tu-"):
            raise ValueError(f"{self.model} cannot have the encoder {self.encoder!r}; take one of another kind")
        if self.presence_head and self.model == "dsc_unet":
            raise ValueError("presence_head: dsc_unet has heads of its own kind; take it off, or take the model unet")
        if self.encoder_weights == "imagenet" and self.encoder in WITHOUT_IMAGENET:
            raise ValueError(f"encoder_weights 'imagenet': the library has none for {self.encoder!r}; allowed: 'none'")
        if self.encoder_weights == "imagenet" and self.init_from is not None:
            raise ValueError("encoder_weights 'imagenet' and init_from exclude each other: give one of them")
        if self.batch_size < self.devices * self.min_images_per_device:
            raise ValueError(f"{self.model} normalises over the batch: batch_size must be at least 2 for each device")
        return self

    @model_validator(mode="after")
    def _pos_weight_has_an_effect(self) -> Self:
        if self.pos_weight != 1 and self.loss not in WITH_BCE:
            raise ValueError(f"pos_weight has no effect on the loss {self.loss!r}; it goes with {', '.join(WITH_BCE)}")
        if isinstance(self.pos_weight, dict) and self.task == "merged":
            raise ValueError("pos_weight by class needs task 'per_class'; give one number for 'merged'")
        return self

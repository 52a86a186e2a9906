"""Settings that every training has, whatever the family. Defaults are those of the protocol."""

from typing import Literal, Self

from pydantic import Field, model_validator

from defectbench.config.base import Settings


class TrainSettings(Settings):
    """Budget, optimiser and hardware settings of a training.

    The budget is ``epochs``, unless ``steps`` (optimiser steps) is given.
    """

    task: Literal["merged", "per_class"] = Field("merged", description="One map of any defect, or one map per class")
    img_size: str = Field(
        "native", pattern=r"^(native|\d+(x\d+)?)$", description="'native', a side, or HEIGHTxWIDTH, in pixels"
    )
    resize: Literal["native", "longest_pad", "squash"] = Field(
        "native", description="How an image reaches img_size; 'native' pads to the next multiple of 32"
    )
    batch_size: int = Field(8, ge=1)
    epochs: int = Field(30, ge=1)
    steps: int | None = Field(None, ge=1)
    eval_every: int | None = Field(None, ge=1, description="Steps between evaluations; null: one pass over the images")
    lr: float = Field(1e-4, gt=0)
    wd: float = Field(1e-4, ge=0, description="Weight decay")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which lr rises from 0")
    gradient_clip: float = Field(1.0, ge=0, description="Largest gradient norm; 0 switches clipping off")
    patience: int = Field(7, ge=1, description="Evaluations without a better one before stopping")
    monitor: Literal["val_mIoU", "val_Dice"] = Field("val_mIoU", description="At fixed p = 0.5")
    precision: Literal["auto", "bf16", "fp32"] = Field("auto", description="auto: bf16 where the hardware has it")
    threads: int = Field(2, ge=1, description="torch's CPU threads; results depend on it")
    seed: int = Field(42, ge=0)

    @model_validator(mode="after")
    def _size_fits_resize(self) -> Self:
        if (self.img_size == "native") != (self.resize == "native"):
            raise ValueError(
                f"img_size {self.img_size!r} does not go with resize {self.resize!r}: give both 'native', "
                "or a size and 'longest_pad' or 'squash'"
            )
        return self

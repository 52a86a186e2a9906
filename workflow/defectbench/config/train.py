"""Settings that the trainings of all families share, with the defaults of the protocol."""

import math
from functools import cached_property
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from defectbench.config.budget import BudgetSettings
from defectbench.config.family_settings import Traits

MONITORS = ("val_iou_fixed", "val_dice_fixed", "dice_all")


class TrainSettings(BudgetSettings):
    """Settings of a training by the common loop: samples, optimiser, hardware."""

    input_multiple: ClassVar[int] = 32
    """The network takes heights and widths that are multiples of this, in pixels."""
    prediction_keys: ClassVar[frozenset[str]] = frozenset({"prediction", "overlap", "tta"})

    task: Literal["merged", "per_class"] = Field("merged", description="One map of any defect, or one map per class")
    img_size: str = Field(
        "native", pattern=r"^(native|\d+(x\d+)?)$", description="'native', a side, or HEIGHTxWIDTH, in pixels"
    )
    resize: Literal["native", "longest_pad", "squash"] = Field(
        "native", description="How images are resized to img_size; 'native' pads to the next multiple of 32"
    )
    mode: Literal["full", "crops", "pre_crops"] = Field(
        "full",
        description="Training samples: whole images, random crops, new in every pass, or tiles cut beforehand",
    )
    crop: str = Field(
        "256x512",
        pattern=r"^[1-9]\d*x[1-9]\d*$",
        description="Size of crops and tiles, HEIGHTxWIDTH in pixels; a smaller image is taken whole",
    )
    defect_crops: float = Field(
        0.0,
        ge=0,
        le=1,
        description="crops: share that is centred on a defect pixel; the others are placed at random",
    )
    stride: int = Field(
        256, ge=1, description="pre_crops: pixels between neighbouring tiles; the last is aligned to the edge"
    )
    empty_tiles: float = Field(
        1.0,
        ge=0,
        le=1,
        description="pre_crops: share of the tiles without a defect that is used; the others all are",
    )
    prediction: Literal["full", "tiles"] = Field(
        "full",
        description="The network predicts whole images, or tiles of the size crop, blended where they overlap",
    )
    overlap: int = Field(
        64,
        ge=0,
        description="prediction: tiles: least overlap of neighbouring tiles, pixels; along a side of the tile that is "
        "not longer than this, half of that side",
    )
    tta: str = Field(
        "none",
        pattern=r"^(none|(hflip|\d*\.?\d+)(\+(hflip|\d*\.?\d+))*)$",
        description="Test-time augmentation: views averaged with the image as it is, joined by '+': hflip, and scales "
        "of height and width, e.g. hflip+0.75+1.25; mirrored views come at every scale",
    )
    accumulate: int = Field(1, ge=1, description="Batches whose gradients make one step; BatchNorm sees single batches")
    devices: int = Field(
        1,
        ge=1,
        description="GPUs that share every batch, or processes on a CPU; BatchNorm sees one device's images",
    )
    sampler: Literal["shuffle", "balanced"] = Field(
        "shuffle", description="balanced: every other image is defective, the classes in turn"
    )
    optimizer: Literal["adamw", "adam", "sgd"] = Field("adamw", description="sgd: Nesterov momentum 0.9")
    lr: float = Field(1e-4, gt=0)
    wd: float = Field(1e-4, ge=0, description="Weight decay, but of biases and scales of norms")
    schedule: Literal["cosine", "cosine_restarts", "plateau", "one_cycle"] = Field(
        "cosine", description="Learning-rate schedule; plateau: a tenth whenever the monitor does not improve"
    )
    cycles: int = Field(3, ge=1, description="Cycles of cosine_restarts; each is twice as long as the one before")
    lr_patience: int = Field(2, ge=0, description="plateau: evaluations without improvement before lr is reduced")
    gradient_clip: float = Field(1.0, ge=0, description="Largest gradient norm; 0 switches clipping off")
    monitor: Literal["val_iou_fixed", "val_dice_fixed", "dice_all"] = Field(
        "val_iou_fixed",
        description="Selects the checkpoint, on val at p = 0.5: mean IoU or Dice of defective images, or the mean Dice "
        "of all images, in which false alarms on clean ones count",
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto", description="auto: bf16 where the hardware has it, else fp16 on a GPU, fp32 on a CPU; fp16 needs a GPU"
    )
    threads: int = Field(2, ge=1, description="torch's CPU threads; results depend on it")
    seed: int = Field(42, ge=0)

    @cached_property
    def traits(self) -> Traits:
        """Traits of a network that is trained on packed images and masks."""
        return Traits(
            img_size=self.img_size,
            task=self.task,
            threads=self.threads,
            devices=self.devices,
            tile_pack=f"tiles_{self.crop}_s{self.stride}" if self.mode == "pre_crops" else None,
            unsearchable="",
            # Families have this key, each at its own place among its keys.
            augment=dict(self).get("augment"),
        )

    @property
    def crop_size(self) -> tuple[int, int]:
        """Height and width of ``crop``."""
        height, width = self.crop.split("x")
        return int(height), int(width)

    def images_per_step(self, n_images: int) -> int:
        """Images of one optimiser step if there are ``n_images``: those of all accumulated batches."""
        return super().images_per_step(n_images) * self.accumulate

    def last_peak(self, total: int) -> int:
        """The step, of ``total``, after which the learning rate only falls: of restarts the last."""
        match self.schedule:
            case "cosine_restarts":
                return self.restart_steps(total) * (2 ** (self.cycles - 1) - 1)
            case "plateau":
                return 0
        return self.warmup_steps(total)

    def restart_steps(self, total: int) -> int:
        """Steps of the first of ``cycles`` that take ``total`` steps, each twice as long as the one before."""
        return math.ceil(total / (2**self.cycles - 1))

    @property
    def min_images_per_device(self) -> int:
        """Fewest images that a device can train on at a time."""
        return 1

    @property
    def inactive_keys(self) -> set[str]:
        """Keys that have no effect beside the others."""
        used_by = {
            "crop": self.mode != "full",
            "defect_crops": self.mode == "crops",
            "stride": self.mode == "pre_crops",
            "empty_tiles": self.mode == "pre_crops",
            "overlap": self.prediction == "tiles",
            "warmup": self.schedule in ("cosine", "one_cycle"),
            "cycles": self.schedule == "cosine_restarts",
            "lr_patience": self.schedule == "plateau",
        }
        return super().inactive_keys | {key for key, used in used_by.items() if not used}

    @model_validator(mode="after")
    def _crops_fit(self) -> Self:
        if self.mode == "full":
            if self.prediction == "tiles":
                raise ValueError("prediction 'tiles' needs mode 'crops' or 'pre_crops': a tile has the size of a crop")
            return self
        if self.img_size != "native":
            raise ValueError(f"mode {self.mode!r} cuts images at their own pixels: give img_size and resize 'native'")
        side = min(self.crop_size)
        if self.mode == "pre_crops" and self.stride > side:
            raise ValueError(f"stride {self.stride} leaves gaps between tiles of {self.crop}; allowed: at most {side}")
        longer = max(self.crop_size)
        if self.prediction == "tiles" and self.overlap >= longer:
            raise ValueError(f"overlap {self.overlap} does not fit tiles of {self.crop}; allowed: at most {longer - 1}")
        return self

    @model_validator(mode="after")
    def _devices_share_batches(self) -> Self:
        if self.batch_size % self.devices:
            raise ValueError(f"batch_size {self.batch_size} does not divide among {self.devices} devices")
        return self

    @model_validator(mode="after")
    def _views_differ(self) -> Self:
        parts = [] if self.tta == "none" else self.tta.split("+")
        scales = [float(part) for part in parts if part != "hflip"]
        if len(parts) != len(set(parts)) or len(scales) != len({*scales, 1.0} - {1.0}):
            raise ValueError(f"tta {self.tta!r}: a view is given twice; scale 1 is always included")
        if any(not 0.25 <= scale <= 4 for scale in scales):
            raise ValueError(f"tta {self.tta!r}: allowed scales: 0.25 to 4")
        if scales and self.img_size != "native":
            raise ValueError(f"tta {self.tta!r}: the network sees every scale at img_size; set img_size: native")
        return self

    @model_validator(mode="after")
    def _size_fits_resize(self) -> Self:
        if (self.img_size == "native") != (self.resize == "native"):
            raise ValueError(
                f"img_size {self.img_size!r} does not go with resize {self.resize!r}: give both 'native', "
                "or a size and 'longest_pad' or 'squash'"
            )
        return self

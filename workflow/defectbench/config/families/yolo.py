"""Settings of the YOLO family: detection and segmentation through ultralytics."""

from functools import cached_property
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from defectbench.config.augment import AugmentSettings
from defectbench.config.budget import BudgetSettings
from defectbench.config.family_settings import JobNeeds, Traits

_UNSEARCHABLE = "ultralytics trains and chooses weights by its own fitness (mAP), which is no mean IoU or Dice"


class YoloSettings(BudgetSettings):
    """A YOLO network and its training by ultralytics: AdamW, cosine, its own losses, no mosaic.

    Ultralytics' own fitness chooses the checkpoint.
    """

    jobs: ClassVar[JobNeeds | None] = JobNeeds(train_mb=12000, weights_mb=4000)
    weights_rule: ClassVar[str | None] = "yolo_weights"
    base_pattern: ClassVar[str] = "yolo[^/]+"
    prediction_keys: ClassVar[frozenset[str]] = frozenset({"tta", "score_threshold"})

    model: Literal["yolov8-seg", "yolo11-seg", "yolo26-seg", "yolov8", "yolo11", "yolo26"] = Field(
        description="-seg: segmentation; the others give boxes alone and have a results table of their own"
    )
    scale: Literal["p", "n", "s", "m", "l", "x"] = Field(
        "n", description="Size of the network; p is ours: half the width of n, from scratch only"
    )
    weights: Literal["coco", "none"] = Field("none", description="coco: the published weights; none: from scratch")
    task: Literal["merged", "per_class"] = Field(
        "merged", description="One class 'merged' of any defect, or the dataset's classes"
    )
    img_size: str = Field("640", pattern=r"^[1-9]\d*$", description="Long side in pixels; the aspect is kept")
    rect: bool = Field(
        True,
        description="true: the short side is padded to a multiple of 32; false: padded to a square of img_size. Images "
        "of several aspects are not shuffled if true",
    )
    lr: float = Field(1e-3, gt=0)
    wd: float = Field(1e-4, ge=0, description="Weight decay, but of biases and scales of norms")
    augment: AugmentSettings = Field(AugmentSettings(), description="steel, none, or the keys that differ from steel")
    mask_ratio: Literal[1, 2, 4] = Field(
        4, description="Segmentation: training masks are this many times smaller than the image; 1 keeps thin cracks"
    )
    tta: Literal["none", "hflip"] = Field(
        "none", description="Segmentation: maps are averaged with those of the mirrored image"
    )
    score_threshold: float = Field(
        0.25, gt=0, lt=1, description="Segmentation: p = 0.5 where the mask of an instance with this score is"
    )
    precision: Literal["auto", "bf16", "fp32"] = Field("auto", description="auto: bf16 on GPUs that have it, else fp32")
    threads: int = Field(2, ge=1, description="torch's CPU threads; results depend on it")
    workers: int = Field(4, ge=0, description="Loader processes beside a GPU, results depend on it; without one: none")
    seed: int = Field(42, ge=0)

    @property
    def is_detector(self) -> bool:
        """Whether the network gives boxes and no masks."""
        return not self.model.endswith("-seg")

    @cached_property
    def traits(self) -> Traits:
        """Traits of a network that ultralytics trains on labels in its own format."""
        return Traits(
            variant=self.scale,
            img_size=self.img_size,
            task=self.task,
            is_detector=self.is_detector,
            sees_image_alone=not self.is_detector,
            unsearchable=_UNSEARCHABLE,
            base_name=self.network_name if self.weights == "coco" else None,
            adapts_base=False,
            label_table=self.labels,
            threads=self.threads,
            augment=self.augment,
        )

    @property
    def network_name(self) -> str:
        """Name of this network in ultralytics, e.g. ``yolo11n-seg``."""
        return f"{self.model.removesuffix('-seg')}{self.scale}{'' if self.is_detector else '-seg'}"

    @property
    def labels(self) -> str:
        """Name of the labels that it is trained on; see :mod:`defectbench.data.yolo_labels`."""
        return ("boxes" if self.is_detector else "polygons") + ("_merged" if self.task == "merged" else "")

    @property
    def inactive_keys(self) -> set[str]:
        """Keys that have no effect beside the others."""
        return super().inactive_keys | ({"mask_ratio", "tta", "score_threshold"} if self.is_detector else set())

    @field_validator("img_size")
    @classmethod
    def _strides_fit(cls, value: str) -> str:
        if int(value) % 32:
            raise ValueError(f"{value!r} is not allowed; allowed: multiples of 32")
        return value

    @model_validator(mode="after")
    def _weights_exist(self) -> Self:
        if self.weights == "coco" and self.scale == "p":
            raise ValueError("weights 'coco': none are published for scale 'p'; allowed: 'none'")
        return self

"""Training loop of ultralytics, with its losses and fitness, and the augmentation, seeds and files of this project."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import albumentations as A
import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from defectbench.config.augment import AugmentSettings
from defectbench.config.families.yolo import YoloSettings
from defectbench.families.yolo.network import (
    DetectionTrainer,
    RandomPerspective,
    SegmentationTrainer,
    YoloError,
    build_network,
    cpu_state,
)
from defectbench.training.augmentation import make_augmentation

NOT_SHARED = {
    "rotation": "in every image, edges grey, instead of in a share of them, edges repeated",
    "order": "rotation, pixels, flip; noise and blur as for all families",
}
"""How ultralytics' augmentation differs from the steel augmentation of the other families."""
FITNESS = "ultralytics' own fitness: mAP50-95 of boxes, for segmentation plus that of masks, on val"
LOSS = "ultralytics' own"
GRADIENT_CLIP = 10.0
"""Fixed in ultralytics."""
FOLDER = "ultralytics"
"""Where ultralytics writes, below the folder of the training."""


@dataclass(frozen=True)
class Trained:
    """Results of a training."""

    network: torch.nn.Module
    history: pd.DataFrame
    """A row per epoch, with the other families' columns where they mean the same."""
    weights: dict[str, Path]
    """Name -> safetensors file of the checkpoints: the best first, then the last."""
    best_epoch: int
    """Counted from 0."""
    steps_per_epoch: int
    batch_size: int
    """Smaller than in the settings if the GPU ran out of memory."""
    options: dict[str, Any]
    """Ultralytics' options that differ from its defaults or matter."""


def ultralytics_options(settings: YoloSettings) -> dict[str, Any]:
    """Ultralytics' options for ``settings``, without files and devices."""
    augment = settings.augment
    return {
        "imgsz": int(settings.img_size),
        "rect": settings.rect,
        "epochs": settings.epochs,
        "patience": settings.patience,
        "batch": settings.batch_size,
        "nbs": settings.batch_size,  # a step per batch, and the weight decay of the settings
        "optimizer": "AdamW",
        "lr0": settings.lr,
        "lrf": 0.01,
        "momentum": 0.9,
        "weight_decay": settings.wd,
        "cos_lr": True,
        "warmup_epochs": settings.warmup * settings.epochs,
        "warmup_bias_lr": 0.0,
        "seed": settings.seed,
        "deterministic": True,
        "overlap_mask": True,
        "mask_ratio": settings.mask_ratio,
        "fliplr": augment.hflip,
        "flipud": augment.vflip,
        "degrees": augment.degrees if augment.rotate else 0.0,
        **dict.fromkeys(("mosaic", "mixup", "cutmix", "copy_paste", "close_mosaic", "multi_scale"), 0),
        **dict.fromkeys(("hsv_h", "hsv_s", "hsv_v", "translate", "scale", "shear", "perspective"), 0.0),
    }


def pixel_augmentation(settings: AugmentSettings) -> list[A.BasicTransform | A.BaseCompose]:
    """The shared augmentation without its geometric transforms, which ultralytics does itself."""
    augmentation = make_augmentation(settings)
    return [t for t in augmentation or () if not isinstance(t, A.DualTransform)]


def resolve_precision(precision: str) -> str:
    """``bf16`` or ``fp32``: the meaning of the setting on this hardware.

    Raises:
        YoloError: for bf16 without a GPU that has it; ultralytics has no mixed precision on CPUs.
    """
    capable = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and not capable:
        raise YoloError("precision bf16 needs a GPU that has it, and there is none; set precision: auto")
    return "bf16" if capable and precision != "fp32" else "fp32"


def describe_training(settings: YoloSettings, batch_size: int) -> list[str]:
    """Notes on a training that ended with ``batch_size``, for readers of the results."""
    notes = [] if settings.weights == "coco" else ["from scratch"]
    notes += [f"loss: {LOSS}", f"checkpoint by {FITNESS}"]
    if batch_size != settings.batch_size:
        notes.append(f"batch size {batch_size}: {settings.batch_size} did not fit into memory")
    return notes


def train(
    name: str,
    settings: YoloSettings,
    classes: Sequence[str],
    data: Path,
    folder: Path,
    precision: str,
    report: Callable[[dict[str, float]], None],
    coco: dict[str, torch.Tensor] | None = None,
) -> Trained:
    """Train a network on the dataset ``data`` (a data.yaml) from its first epoch; all files go below ``folder``.

    Args:
        name: Of the training, for messages.
        settings: Of the training.
        classes: Names of the classes, as in ``data``.
        data: See :func:`defectbench.data.yolo_labels.write_dataset`.
        folder: An empty folder.
        precision: 'bf16' or 'fp32'.
        report: Called with every row of the history.
        coco: The published weights, for ``weights: coco``.

    Raises:
        YoloError: if the loss is not finite, memory runs out, or ``coco`` do not fit.
    """
    options = ultralytics_options(settings)
    kind = _Detection if settings.is_detector else _Segmentation
    trainer = kind(
        overrides={
            **options,
            "model": f"{settings.model}.yaml",
            "data": data.as_posix(),
            # Ultralytics resolves relative paths below a folder of its own.
            "project": folder.resolve().as_posix(),
            "name": FOLDER,
            "exist_ok": True,
            "device": "0" if torch.cuda.is_available() else "cpu",
            "workers": settings.workers,
            # 'bf16' skips ultralytics' test of mixed precision, which downloads a network.
            "amp": "bf16" if precision == "bf16" else False,
            "augmentations": pixel_augmentation(settings.augment),
            "plots": False,
            "verbose": False,
        }
    )
    trainer.title, trainer.report = name, report
    torch.set_num_threads(settings.threads)
    # The trainer has set the seeds by now, so random weights follow from the seed.
    trainer.model = build_network(settings, classes, coco)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer.train()
    except torch.OutOfMemoryError as error:
        raise YoloError(
            f"{name}: out of GPU memory at batch_size {settings.batch_size}; halve it, or set a smaller img_size. "
            f"{error}"
        ) from None
    best = f"best_epoch{trainer.best_epoch}_fitness{trainer.best_fitness:.4f}"
    return Trained(
        network=trainer.model,
        history=trainer.history(),
        weights={best: trainer.wdir / "best.safetensors", "last": trainer.wdir / "last.safetensors"},
        best_epoch=trainer.best_epoch,
        steps_per_epoch=len(trainer.train_loader),
        batch_size=trainer.batch_size,
        options=options,
    )


def make_history(results: pd.DataFrame, fitness: Sequence[float], steps_per_epoch: int) -> pd.DataFrame:
    """history.csv from ultralytics' ``results.csv``: with sums of losses, and metrics named by box (B) or mask (M)."""
    results.columns = results.columns.str.strip()
    losses = {
        role: results[[column for column in results if column.startswith(f"{role}/") and column.endswith("_loss")]]
        for role in ("train", "val")
    }
    columns = {
        "epoch": results["epoch"] - 1,
        "step": results["epoch"] * steps_per_epoch,
        "train_loss": losses["train"].sum(axis=1),
        "val_loss": losses["val"].sum(axis=1),
        "fitness": fitness,
        "learning_rate": results["lr/pg0"],
        "epoch_time": np.diff(results["time"], prepend=0.0),
    }
    prefixes = {"B": "box", "M": "mask"}
    for column in results:
        group, _, metric = column.partition("/")
        if group == "metrics":
            short, _, of = metric.rstrip(")").partition("(")
            columns[f"{prefixes[of]}_{short.lower().replace('-', '_')}"] = results[column]
        elif group in losses:
            columns[f"{group}_{metric}"] = results[column]
    return pd.DataFrame(columns)


if TYPE_CHECKING:
    from defectbench.families.yolo.network import DetectionTrainer as _TrainerBase
else:
    _TrainerBase = object


class TrainerMixin(_TrainerBase):
    """What a training here does differently from ultralytics' own, for detection and segmentation alike."""

    title: str
    report: Callable[[dict[str, float]], None]

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Remember the images of the batch, for messages."""
        self.batch_files = batch["im_file"]
        return super().preprocess_batch(batch)

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        """Keep thin instances, which ultralytics drops if a box is not wider than 2 pixels."""
        dataset = super().build_dataset(img_path, mode, batch)
        for transform in _flatten(dataset.transforms):
            if isinstance(transform, RandomPerspective):
                transform.box_candidates = _is_visible
        return dataset

    def optimizer_step(self) -> None:
        """Stop if the loss is not finite, before the weights are changed."""
        if not torch.isfinite(self.loss):
            images = ", ".join(Path(file).stem for file in self.batch_files)
            raise YoloError(
                f"{self.title}: the loss is not finite in epoch {self.epoch} (training images number {images}); lower "
                f"lr, or set precision: fp32. The last good weights are in {self.wdir}"
            )
        super().optimizer_step()

    def save_model(self) -> bool:
        """Save the averaged weights as safetensors in float32 instead of a pickle in float16."""
        if self.epoch == 0:
            self.fitnesses = []
        self.fitnesses.append(float(self.fitness))
        names = ["last"]
        # As in ultralytics, the later of two epochs with the same fitness.
        if self.fitness == self.best_fitness:
            self.best_epoch = self.epoch
            names.append("best")
        for name in names:
            save_file(cpu_state(self.ema.ema), self.wdir / f"{name}.safetensors")
        row = self.history().iloc[-1].to_dict()
        print(
            f"{self.title}  epoch {self.epoch + 1:>3}/{self.epochs}  loss {row['train_loss']:.3f}"
            f"  fitness {self.fitness:.4f}",
            flush=True,
        )
        self.report(row)
        return True

    def history(self) -> pd.DataFrame:
        """The rows of history.csv so far."""
        return make_history(pd.read_csv(self.csv), self.fitnesses, len(self.train_loader))

    def final_eval(self) -> None:
        """Do nothing: the trained network is evaluated like those of all families."""


class _Detection(TrainerMixin, DetectionTrainer):
    """Trainer of detectors."""


class _Segmentation(TrainerMixin, SegmentationTrainer):
    """Trainer of segmentation networks."""


def _flatten(transforms: Any) -> list[Any]:
    """All transforms of nested compositions."""
    inner = getattr(transforms, "transforms", None)
    return [leaf for part in inner for leaf in _flatten(part)] if isinstance(inner, list) else [transforms]


def _is_visible(box1: np.ndarray, box2: np.ndarray, area_thr: float, **_: Any) -> np.ndarray:
    """Which boxes, (4, N) before and after a transform, still have more than the share ``area_thr`` of their area."""
    (width1, height1), (width2, height2) = box1[2:] - box1[:2], box2[2:] - box2[:2]
    return (width2 > 0) & (height2 > 0) & (width2 * height2 > area_thr * width1 * height1)

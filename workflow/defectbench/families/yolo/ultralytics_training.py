"""Training loop of ultralytics, with its losses and fitness, and the augmentation, seeds and files of this project."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch._dynamo import OptimizedModule
from torch.optim.lr_scheduler import LambdaLR

from defectbench.config.families.yolo import YoloSettings
from defectbench.config.runtime import RuntimeSettings
from defectbench.families.yolo.budget import IntervalBatches, Stopping, make_batches
from defectbench.families.yolo.network import (
    DetectionTrainer,
    RandomPerspective,
    SegmentationTrainer,
    YoloError,
    build_network,
    cpu_state,
)
from defectbench.families.yolo.samples import SeededSamples
from defectbench.training.augmentation import make_augmentation
from defectbench.training.averaging import average_decay
from defectbench.training.optimisation import cosine_with_warmup

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
    """A row per evaluation, with the other families' columns where they mean the same."""
    weights: dict[str, Path]
    """Name -> safetensors file of the checkpoints: the best first, then the last."""
    best_step: int
    """Step of the best checkpoint."""
    batch_size: int
    """Smaller than in the settings if the GPU ran out of memory."""
    options: dict[str, Any]
    """Ultralytics' options that differ from its defaults or matter."""


def ultralytics_options(settings: YoloSettings, n_images: int) -> dict[str, Any]:
    """Ultralytics' options for ``settings`` and ``n_images`` training images, without files and devices."""
    return {
        "imgsz": int(settings.img_size),
        "rect": settings.rect,
        "epochs": math.ceil(settings.count_steps(n_images) / settings.eval_interval(n_images)),
        "batch": settings.batch_size,
        "nbs": settings.batch_size,  # a step per batch, and the weight decay of the settings
        "optimizer": "AdamW",
        "lr0": settings.lr,
        "momentum": 0.9,
        "weight_decay": settings.wd,
        "seed": settings.seed,
        "deterministic": True,
        "overlap_mask": True,
        "mask_ratio": settings.mask_ratio,
        **dict.fromkeys(("mosaic", "mixup", "cutmix", "copy_paste", "close_mosaic", "multi_scale"), 0),
        **dict.fromkeys(("hsv_h", "hsv_s", "hsv_v", "translate", "scale", "shear", "perspective", "degrees"), 0.0),
        **dict.fromkeys(("fliplr", "flipud"), 0.0),
    }


def resolve_precision(precision: str) -> str:
    """``bf16`` or ``fp32``: the meaning of the setting on this hardware.

    Raises:
        YoloError: for bf16 without a GPU that has it; ultralytics has no mixed precision on CPUs.
    """
    capable = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and not capable:
        raise YoloError("precision bf16 needs a GPU that has it, and there is none; set precision: auto")
    return "bf16" if capable and precision != "fp32" else "fp32"


def describe_training(settings: YoloSettings, batch_size: int, has_ignored: bool) -> list[str]:
    """Notes on a training that ended with ``batch_size``, for readers of the results."""
    notes = [] if settings.weights == "coco" else ["from scratch"]
    notes += [f"loss: {LOSS}", f"checkpoint by {FITNESS}"]
    if batch_size != settings.batch_size:
        notes.append(f"batch size {batch_size}: {settings.batch_size} did not fit into memory")
    if has_ignored:
        notes.append("ignored pixels are background in training: ultralytics cannot leave them out")
    return notes


def train(
    name: str,
    settings: YoloSettings,
    classes: Sequence[str],
    n_images: int,
    data: Path,
    folder: Path,
    precision: str,
    runtime: RuntimeSettings,
    report: Callable[[dict[str, float]], None],
    coco: dict[str, torch.Tensor] | None = None,
) -> Trained:
    """Train a network on the dataset ``data`` (a data.yaml) from its first step; all files go below ``folder``.

    Args:
        name: Of the training, for messages.
        settings: Of the training.
        classes: Names of the classes, as in ``data``.
        n_images: Number of training images in ``data``.
        data: See :func:`defectbench.data.yolo_labels.write_dataset`.
        folder: An empty folder.
        precision: 'bf16' or 'fp32'.
        runtime: How it runs.
        report: Called with every row of the history.
        coco: The published weights, for ``weights: coco``.

    Raises:
        YoloError: if the loss is not finite, memory runs out, or ``coco`` do not fit.
    """
    trainer = make_trainer(name, settings, n_images, data, folder, precision, runtime)
    trainer.report = report
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
    best = f"best_step{trainer.best_step}_fitness{trainer.best_fitness:.4f}"
    return Trained(
        network=trainer.model,
        history=trainer.history(),
        weights={best: trainer.wdir / "best.safetensors", "last": trainer.wdir / "last.safetensors"},
        best_step=trainer.best_step,
        batch_size=trainer.batch_size,
        options=ultralytics_options(settings, n_images),
    )


def make_trainer(
    name: str,
    settings: YoloSettings,
    n_images: int,
    data: Path,
    folder: Path,
    precision: str,
    runtime: RuntimeSettings,
) -> "TrainerMixin":
    """Ultralytics' trainer for ``settings``; see :func:`train` for the arguments. It sets the seeds."""
    kind = _Detection if settings.is_detector else _Segmentation
    trainer = kind(
        overrides={
            **ultralytics_options(settings, n_images),
            "model": f"{settings.model}.yaml",
            "data": data.as_posix(),
            # Ultralytics resolves relative paths below a folder of its own.
            "project": folder.resolve().as_posix(),
            "name": FOLDER,
            "exist_ok": True,
            "device": "0" if torch.cuda.is_available() else "cpu",
            # On a CPU ultralytics has none.
            "workers": 4 if runtime.workers is None else runtime.workers,
            "compile": runtime.compile,
            # 'bf16' skips ultralytics' test of mixed precision, which downloads a network.
            "amp": "bf16" if precision == "bf16" else False,
            "augmentations": list(make_augmentation(settings.augment) or ()),
            "plots": False,
            "verbose": False,
        }
    )
    trainer.title, trainer.settings = name, settings
    return trainer


def make_history(results: pd.DataFrame, evaluations: Sequence[dict[str, float]]) -> pd.DataFrame:
    """history.csv from ultralytics' ``results.csv``: with sums of losses, and metrics named by box (B) or mask (M).

    ``evaluations``, one for each row, have ``step``, ``images_seen`` and ``fitness``.
    """
    results.columns = results.columns.str.strip()
    losses = {
        role: results[[column for column in results if column.startswith(f"{role}/") and column.endswith("_loss")]]
        for role in ("train", "val")
    }
    ours = pd.DataFrame(list(evaluations))
    columns = {
        "epoch": results["epoch"] - 1,
        "step": ours["step"],
        "images_seen": ours["images_seen"],
        "train_loss": losses["train"].sum(axis=1),
        "val_loss": losses["val"].sum(axis=1),
        "fitness": ours["fitness"],
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
    settings: YoloSettings

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Make one ultralytics epoch the interval between two evaluations.

        Ultralytics calls it again, with half the batch size, if memory runs out in the first interval.
        """
        loader = super().get_dataloader(dataset_path, batch_size, rank, mode)
        if mode == "train":
            n_images = len(loader.dataset)
            self.n_steps, self.images_seen, self.evaluations = 0, 0, list[dict[str, float]]()
            self.total_steps = self.settings.count_steps(n_images)
            # Ultralytics accumulates so many batches that a step has the images of the settings.
            parts = max(round(self.settings.batch_size / batch_size), 1)
            interval, total = self.settings.eval_interval(n_images) * parts, self.total_steps * parts
            batches = make_batches(loader.dataset, batch_size, self.settings.seed)
            self.batches = IntervalBatches(batches, interval, total)
            # A loader's parts are fixed; ultralytics itself replaces them so.
            object.__setattr__(loader, "batch_sampler", self.batches)
            object.__setattr__(loader, "dataset", SeededSamples(loader.dataset, self.settings.seed))
        return loader

    def _setup_scheduler(self) -> None:
        """Give every step the learning rate that the other families have."""
        warmup = self.settings.warmup_steps(self.total_steps)
        # Ultralytics steps it once an epoch; what counts is the number of optimiser steps.
        self.scheduler = LambdaLR(self.optimizer, lambda _: cosine_with_warmup(self.n_steps, warmup, self.total_steps))

    def _get_warmup_iterations(self, num_batches: int) -> int:
        """None: the schedule begins with the warm-up."""
        return 0

    def _setup_train(self) -> None:
        """Stop early by the settings, and average the weights by them: ultralytics' own decay rises slowly.

        Raises:
            YoloError: if the network was to be compiled and cannot be.
        """
        super()._setup_train()
        # Ultralytics would only log that it cannot compile.
        if self.args.compile and not isinstance(self.model, OptimizedModule):
            raise YoloError(
                "runtime.compile: the network cannot be compiled here: it needs a C++ compiler, on a GPU also Triton"
            )
        self.ema.decay = partial(average_decay, decay=self.settings.ema)
        peak = self.settings.last_peak(self.total_steps)
        self.stopper = Stopping(self.settings.patience, lambda: self.n_steps >= peak)

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Remember the images of the batch, for messages, and count them."""
        self.batch_files = batch["im_file"]
        self.images_seen += len(self.batch_files)
        return super().preprocess_batch(batch)

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        """Keep thin objects."""
        dataset = super().build_dataset(img_path, mode, batch)
        keep_thin_objects(dataset)
        return dataset

    def optimizer_step(self) -> None:
        """Stop if the loss is not finite, before the weights are changed; count the step."""
        if not torch.isfinite(self.loss):
            images = ", ".join(Path(file).stem for file in self.batch_files)
            raise YoloError(
                f"{self.title}: the loss is not finite at step {self.n_steps} (training images number {images}); lower "
                f"lr, or set precision: fp32. The last good weights are in {self.wdir}"
            )
        super().optimizer_step()
        self.n_steps += 1
        self.batches.done = self.n_steps * self.accumulate
        self.scheduler.step()

    def save_model(self) -> bool:
        """Save the averaged weights as safetensors in float32 instead of a pickle in float16."""
        self.evaluations.append({"step": self.n_steps, "images_seen": self.images_seen, "fitness": float(self.fitness)})
        names = ["last"]
        # As in ultralytics, the later of two evaluations with the same fitness.
        if self.fitness == self.best_fitness:
            self.best_step = self.n_steps
            names.append("best")
        for name in names:
            save_file(cpu_state(self.ema.ema), self.wdir / f"{name}.safetensors")
        row = self.history().iloc[-1].to_dict()
        print(
            f"{self.title}  step {self.n_steps:>5}/{self.total_steps}  loss {row['train_loss']:.3f}"
            f"  fitness {self.fitness:.4f}",
            flush=True,
        )
        self.report(row)
        return True

    def history(self) -> pd.DataFrame:
        """The rows of history.csv so far."""
        return make_history(pd.read_csv(self.csv), self.evaluations)

    def final_eval(self) -> None:
        """Do nothing: the trained network is evaluated like those of all families."""


class _Detection(TrainerMixin, DetectionTrainer):
    """Trainer of detectors."""


class _Segmentation(TrainerMixin, SegmentationTrainer):
    """Trainer of segmentation networks."""


def keep_thin_objects(dataset: Any) -> None:
    """Keep objects in the samples of ``dataset`` that ultralytics drops: those whose box is not wider than 2 pixels."""
    for transform in _flatten(dataset.transforms):
        if isinstance(transform, RandomPerspective):
            transform.box_candidates = _is_visible


def _flatten(transforms: Any) -> list[Any]:
    """All transforms of nested compositions."""
    inner = getattr(transforms, "transforms", None)
    return [leaf for part in inner for leaf in _flatten(part)] if isinstance(inner, list) else [transforms]


def _is_visible(box1: np.ndarray, box2: np.ndarray, area_thr: float, **_: Any) -> np.ndarray:
    """Which boxes, (4, N) before and after a transform, still have more than the share ``area_thr`` of their area."""
    (width1, height1), (width2, height2) = box1[2:] - box1[:2], box2[2:] - box2[:2]
    return (width2 > 0) & (height2 > 0) & (width2 * height2 > area_thr * width1 * height1)

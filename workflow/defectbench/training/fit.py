"""One training from start, or from its last checkpoint, to its best weights."""

import logging
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from torch import nn
from torch.utils.data import DataLoader

from defectbench.config.train import MONITORS, TrainSettings
from defectbench.inference.memory import peak_memory_bytes
from defectbench.training.checkpoints import (
    AtomicCheckpoints,
    KeptWeights,
    Stopping,
    best_checkpoints,
    regular_checkpoints,
    step_of,
)
from defectbench.training.dataset import Samples
from defectbench.training.losses import Loss
from defectbench.training.samples import Extremes
from defectbench.training.sampling import BalancedBatches, StepBatches
from defectbench.training.state import TrainingError
from defectbench.training.task import SegmentationTask


@dataclass(frozen=True)
class Fit:
    """What a training ended with."""

    history: pd.DataFrame
    weights: Mapping[str, dict[str, torch.Tensor]]
    """Weights of the kept checkpoints by name: the best three by the monitor, best first, the best by each other
    metric, those kept by the way, and the last."""
    best_checkpoints: dict[str, str]
    """Metric -> name of the checkpoint where it was highest."""
    best_step: int
    """Of the best by the monitor."""
    extremes: Extremes
    """Val images that the best weights segment best and worst."""
    steps: int
    train_seconds: float
    peak_memory_bytes: int


class ResumableData(L.LightningDataModule):
    """Training batches that continue at the step a checkpoint was taken."""

    def __init__(self, train: Samples, val: Samples, settings: TrainSettings) -> None:
        """Batches of ``train`` as the settings' sampler draws them; ``val`` in order."""
        super().__init__()
        self.train, self.val, self.settings = train, val, settings
        self.batches = make_batches(train, settings)
        self.steps_per_pass = max(1, self.batches.batches_per_pass // settings.accumulate)
        self.interval = settings.eval_every or self.steps_per_pass
        self.total_steps = settings.steps or settings.epochs * self.steps_per_pass

    @property
    def n_intervals(self) -> int:
        """Evaluations in the whole budget; each is an 'epoch' to Lightning."""
        return math.ceil(self.total_steps / self.interval)

    def train_dataloader(self) -> DataLoader:
        """Called anew for every epoch: the next evaluation interval, or what is left of the budget."""
        step, accumulate = self.trainer.global_step, self.settings.accumulate
        self.batches.start = step * accumulate
        self.batches.n_batches = min(self.interval, self.total_steps - step) * accumulate
        return self._loader(self.train, self.batches)

    def val_dataloader(self) -> DataLoader:
        """All validation images, clean ones too."""
        size = self.settings.batch_size
        order = [[(0, i) for i in range(k, min(k + size, len(self.val)))] for k in range(0, len(self.val), size)]
        return self._loader(self.val, order)

    def _loader(self, samples: Samples, batches: Iterable[list[tuple[int, int]]]) -> DataLoader:
        """Samples do not depend on who reads them, so neither does any result on the number of workers."""
        gpu = torch.cuda.is_available()
        workers = self.settings.workers
        return DataLoader(
            samples,
            batch_sampler=batches,
            num_workers=workers if workers is not None else 4 * gpu,
            worker_init_fn=_one_thread,
            pin_memory=gpu,
        )


def _one_thread(worker: int) -> None:
    """A worker is one of several: OpenCV's own threads would be too many."""
    cv2.setNumThreads(0)


def make_batches(train: Samples, settings: TrainSettings) -> StepBatches:
    """The batches of the settings' sampler."""
    if settings.sampler == "shuffle":
        return StepBatches(len(train), settings.batch_size, settings.seed)
    areas = train.masks.areas()
    presence = np.array([areas[image_id] for image_id in train.image_ids]) > 0
    return BalancedBatches(presence, settings.batch_size, settings.seed)


def fit(
    name: str,
    network: nn.Module,
    loss: Loss,
    train: Samples,
    val: Samples,
    settings: TrainSettings,
    state: Path,
    classes: Sequence[str] = ("merged",),
    make_task: Callable[..., SegmentationTask] | None = None,
    loggers: Sequence[Logger] = (),
) -> Fit:
    """Train ``network``; its state lives in ``state`` and is taken up again if it is there.

    ``classes`` names the network's maps; ``make_task`` is called as :class:`SegmentationTask` would be; ``loggers``
    are told every row of the history. The network ends with the best weights.

    Raises:
        TrainingError: if the loss is not finite or memory runs out.
    """
    quiet_lightning()
    data = ResumableData(train, val, settings)
    # Convolutions on CPUs and tensor cores run about twice as fast with channels last.
    network.to(memory_format=torch.channels_last)
    if settings.compile:
        network.compile()
    task = (make_task or SegmentationTask)(name, network, loss, settings, data.total_steps, val, classes)
    # The monitor's first: it chooses the weights.
    best = {
        metric: best_checkpoints(metric, 3 if metric == settings.monitor else 1, state)
        for metric in sorted(MONITORS, key=lambda metric: metric != settings.monitor)
    }
    last = ModelCheckpoint(dirpath=state, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    stop = Stopping(settings.monitor, patience=settings.patience, mode="max", check_on_train_epoch_end=True)
    callbacks: list[Callback] = [*best.values(), last, stop]
    kept = state / "kept"
    every = settings.checkpoint_interval(data.steps_per_pass)
    if every is not None:
        callbacks.append(regular_checkpoints(every, kept))
    trainer = make_trainer(settings, data.n_intervals, callbacks, loggers, state)
    resume = state / "last.ckpt"
    try:
        trainer.fit(task, datamodule=data, ckpt_path=resume if resume.is_file() else None)
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"{name}: out of GPU memory at batch_size {settings.batch_size}; "
            f"halve batch_size and double accumulate, or set a smaller img_size. {error}"
        ) from None
    history = pd.DataFrame(task.history)
    ranked = [
        path
        for found in best.values()
        for path in sorted(found.best_k_models, key=found.best_k_models.get, reverse=True)
    ]
    weights = KeptWeights([*ranked, *sorted(kept.glob("step*.ckpt"), key=step_of), resume])
    task.network.load_state_dict(next(iter(weights.values())), strict=task.strict_loading)
    task.extremes = Extremes()
    trainer.validate(task, datamodule=data, verbose=False)
    return Fit(
        history=history,
        weights=weights,
        best_checkpoints={metric: Path(found.best_model_path).stem for metric, found in best.items()},
        best_step=step_of(ranked[0]),
        extremes=task.extremes,
        steps=int(history["step"].iloc[-1]),
        train_seconds=float(history["epoch_time"].sum()),
        peak_memory_bytes=peak_memory_bytes(),
    )


def make_trainer(
    settings: TrainSettings, n_intervals: int, callbacks: list[Callback], loggers: Sequence[Logger], state: Path
) -> L.Trainer:
    """Lightning's trainer for ``n_intervals`` evaluation intervals: deterministic, silent, one device."""
    return L.Trainer(
        accelerator="auto",
        devices=1,
        precision=_LIGHTNING_PRECISION[resolved_precision(settings.precision)],
        accumulate_grad_batches=settings.accumulate,
        max_epochs=n_intervals,
        gradient_clip_val=settings.gradient_clip or None,
        deterministic="warn",
        callbacks=callbacks,
        logger=list(loggers) or False,
        plugins=[AtomicCheckpoints()],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        default_root_dir=state,
    )


def fit_facts(result: Fit, settings: TrainSettings) -> dict[str, object]:
    """What the run record says of a training."""
    return {
        "precision": resolved_precision(settings.precision),
        "steps": result.steps,
        "best_step": result.best_step,
        "best_checkpoints": result.best_checkpoints,
        "epochs": len(result.history),
        "train_seconds": result.train_seconds,
        "peak_memory_train_bytes": result.peak_memory_bytes,
    }


_LIGHTNING_PRECISION = {"bf16": "bf16-mixed", "fp16": "16-mixed", "fp32": "32-true"}


def resolved_precision(precision: str) -> str:
    """``bf16``, ``fp16`` or ``fp32``: what the setting means on this hardware.

    Raises:
        TrainingError: for fp16 without a GPU.
    """
    if precision == "fp16" and not torch.cuda.is_available():
        raise TrainingError("precision fp16 needs a GPU, and there is none; set precision: auto")
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if torch.cpu.get_capabilities().get("avx512_bf16", False) else "fp32"


def quiet_lightning() -> None:
    """Keep Lightning's banners and advice out of the logs; errors still show."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")

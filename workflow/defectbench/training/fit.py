"""The training loop, which starts from the beginning or resumes from the last checkpoint."""

import logging
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import nn
from torch.utils.data import DataLoader

from defectbench.config.base import MERGED
from defectbench.config.runtime import RuntimeSettings
from defectbench.config.train import TrainSettings
from defectbench.inference.memory import peak_memory_bytes
from defectbench.training.checkpoints import (
    AtomicCheckpoints,
    Checkpoints,
    make_stopping,
    parse_step,
)
from defectbench.training.dataset import Samples
from defectbench.training.devices import device_options
from defectbench.training.extremes import Extremes
from defectbench.training.micro_batches import halve_batch_on_oom, read_micro_batches
from defectbench.training.sampling import BalancedBatches, MicroBatches, StepBatches
from defectbench.training.state import TrainingError
from defectbench.training.task import HistoryRow, SegmentationTask

DEFAULT_RUNTIME = RuntimeSettings()


@dataclass(frozen=True)
class Fit:
    """Results of a training."""

    history: pd.DataFrame
    weights: Mapping[str, dict[str, torch.Tensor]]
    """Weights of the checkpoints by name: the best three by the monitor, best first, the best by each other metric,
    regular checkpoints, and the last."""
    best_checkpoints: dict[str, str]
    """Metric -> name of the checkpoint where it was highest."""
    best_step: int
    """Step of the best checkpoint by the monitor."""
    val_scores: dict[str, float | None]
    """Metrics of the best weights on val, as in the history."""
    extremes: Extremes
    """Val images that the best weights segment best and worst."""
    steps: int
    images_seen: int
    """Training images seen in these steps, one counted as often as it was seen."""
    micro_batches: int
    """Micro-batches per batch at the end: more than 1 after running out of memory."""
    train_seconds: float
    peak_memory_bytes: int


class ResumableData(L.LightningDataModule):
    """Training batches that continue at the step a checkpoint was taken."""

    def __init__(
        self, train: Samples, val: Samples, settings: TrainSettings, micro_batches: int, workers: int | None
    ) -> None:
        """Batches of ``train`` by the settings' sampler, each in ``micro_batches``; ``val`` in order.

        ``workers`` processes load samples; None: 4 with a GPU, else none.
        """
        super().__init__()
        gpu = torch.cuda.is_available()
        self.workers = workers if workers is not None else 4 * gpu
        self.train, self.val, self.settings, self.micro_batches = train, val, settings, micro_batches
        self.batches = make_batches(train, settings)
        self.steps_per_pass = max(1, self.batches.batches_per_pass // settings.accumulate)
        self.total_steps = settings.count_steps(len(train))
        self.interval = settings.eval_interval(len(train))

    @property
    def n_intervals(self) -> int:
        """Evaluations in the whole budget; Lightning's epochs are the intervals between them."""
        return math.ceil(self.total_steps / self.interval)

    def train_dataloader(self) -> DataLoader:
        """Batches of the next evaluation interval, at most to the end of the budget; called for every epoch."""
        step, accumulate = self.trainer.global_step, self.settings.accumulate
        self.batches.start = step * accumulate
        self.batches.n_batches = min(self.interval, self.total_steps - step) * accumulate
        rank, n_devices = self.trainer.global_rank, self.trainer.world_size
        return self._loader(self.train, MicroBatches(self.batches, self.micro_batches, rank, n_devices))

    def val_dataloader(self) -> DataLoader:
        """All validation images, clean ones too, on every device."""
        size = self.settings.batch_size // (self.settings.devices * self.micro_batches)
        order = [[(0, i) for i in range(k, min(k + size, len(self.val)))] for k in range(0, len(self.val), size)]
        return self._loader(self.val, order)

    def _loader(self, samples: Samples, batches: Iterable[list[tuple[int, int]]]) -> DataLoader:
        """Loader of ``batches``; samples depend on pass and index only, so results do not depend on the workers."""
        return DataLoader(
            samples,
            batch_sampler=batches,
            num_workers=self.workers,
            worker_init_fn=_limit_threads,
            pin_memory=torch.cuda.is_available(),
        )


def _limit_threads(worker: int) -> None:
    """Turn OpenCV's threads off in each of several workers."""
    cv2.setNumThreads(0)


def make_batches(train: Samples, settings: TrainSettings) -> StepBatches:
    """The batches of the settings' sampler."""
    if settings.sampler == "shuffle":
        return StepBatches(len(train), settings.batch_size, settings.seed)
    areas = train.masks.areas()
    presence = np.array([areas[image_id] for image_id in train.image_ids]) > 0
    return BalancedBatches(presence, settings.batch_size, settings.seed)


@dataclass(frozen=True)
class TrainingData:
    """The images of a training."""

    name: str
    """The experiment's id, for progress lines."""
    train: Samples
    val: Samples
    classes: Sequence[str] = (MERGED,)
    """Names of the network's maps."""


class Trainable(Protocol):
    """The part of :class:`defectbench.training.network_job.Training` that :func:`fit` uses."""

    @property
    def network(self) -> nn.Module: ...  # noqa: D102
    @property
    def loss(self) -> Any: ...  # noqa: D102
    @property
    def compiled(self) -> Sequence[nn.Module]: ...  # noqa: D102
    @property
    def make_task(self) -> Callable[..., SegmentationTask]: ...  # noqa: D102


def fit(
    training: Trainable,
    data: TrainingData,
    settings: TrainSettings,
    state: Path,
    report: Callable[[HistoryRow], None] | None = None,
    runtime: RuntimeSettings = DEFAULT_RUNTIME,
) -> Fit:
    """Train a network; a training whose ``state`` folder holds a checkpoint resumes from it.

    ``report`` is called with every row of the history. Afterwards the network has the best weights.

    Raises:
        TrainingError: if the loss is not finite or memory runs out.
        SystemExit: at the end, in all but the first process of a training on several devices.
    """
    quiet_lightning()
    micro_batches = read_micro_batches(state)
    module = ResumableData(data.train, data.val, settings, micro_batches, runtime.workers)
    network = training.network
    # Convolutions on CPUs and tensor cores run about twice as fast with channels last.
    network.to(memory_format=torch.channels_last)
    if runtime.compile:
        compile_modules(training.compiled or [network])
    task = training.make_task(data.name, network, training.loss, settings, module.total_steps, data.val, data.classes)
    task.state_folder = state
    task.report = report
    checkpoints = Checkpoints(settings.monitor, runtime.checkpoint_interval(module.steps_per_pass), state)
    stopping = make_stopping(settings, module.total_steps)
    trainer = make_trainer(settings, module, [*checkpoints.callbacks, *stopping], state)
    resume = checkpoints.last if checkpoints.last.is_file() else None
    with halve_batch_on_oom(data.name, state, settings, module.batches.batch_size, micro_batches):
        if resume is None:
            trainer.validate(task, datamodule=module, verbose=False)
            task.begin_history()
        trainer.fit(task, datamodule=module, ckpt_path=resume)
        history, weights = pd.DataFrame(task.history), checkpoints.weights()
        best = next(iter(weights))
        task.network.load_state_dict(weights[best], strict=task.strict_loading)
        task.extremes = Extremes()
        trainer.validate(task, datamodule=module, verbose=False)
    if not trainer.is_global_zero:
        raise SystemExit  # the first process writes the results
    return Fit(
        history=history,
        weights=weights,
        best_checkpoints=checkpoints.best_names(),
        best_step=parse_step(best),
        val_scores=task.val_scores,
        extremes=task.extremes,
        steps=int(history["step"].iloc[-1]),
        images_seen=int(history["images_seen"].iloc[-1]),
        micro_batches=micro_batches,
        train_seconds=float(history["epoch_time"].sum()),
        peak_memory_bytes=peak_memory_bytes(),
    )


def compile_modules(modules: Iterable[nn.Module]) -> None:
    """Compile the forward passes of ``modules`` in place, at their first calls.

    Once for every shape of a batch: those of training, of validation, and the last of validation, if it is smaller.

    Raises:
        TrainingError: without a C++ compiler.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler  # here, because its import takes seconds

    try:
        get_cpp_compiler()
    except RuntimeError as error:
        raise TrainingError(f"runtime.compile needs a C++ compiler, e.g. g++, and there is none: {error}") from None
    for module in modules:
        module.compile(dynamic=False)


def make_trainer(settings: TrainSettings, data: ResumableData, callbacks: list[Callback], state: Path) -> L.Trainer:
    """Lightning's trainer for the intervals between evaluations of ``data``: deterministic and silent."""
    return L.Trainer(
        **device_options(settings, data.batches.batch_size),
        accelerator="auto",
        precision=_LIGHTNING_PRECISION[resolve_precision(settings.precision)],
        accumulate_grad_batches=settings.accumulate * data.micro_batches,
        max_epochs=data.n_intervals,
        gradient_clip_val=settings.gradient_clip or None,
        deterministic="warn",
        callbacks=callbacks,
        logger=False,
        # Not Slurm's environment, in which Lightning expects a task per device: here a job is one task.
        plugins=[AtomicCheckpoints(), LightningEnvironment()],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        # As validation within a training, so that a compiled network need not be compiled again after it.
        inference_mode=False,
        reload_dataloaders_every_n_epochs=1,
        default_root_dir=state,
    )


def fit_facts(result: Fit, settings: TrainSettings) -> dict[str, object]:
    """Facts of the run record about a training."""
    return {
        "precision": resolve_precision(settings.precision),
        "steps": result.steps,
        "images_seen": result.images_seen,
        "batch_parts": result.micro_batches,
        "best_step": result.best_step,
        "best_checkpoints": result.best_checkpoints,
        "val_scores": result.val_scores,
        "evaluations": int(result.history["epoch"].iloc[-1]),
        "train_seconds": result.train_seconds,
        "peak_memory_train_bytes": result.peak_memory_bytes,
    }


_LIGHTNING_PRECISION = {"bf16": "bf16-mixed", "fp16": "16-mixed", "fp32": "32-true"}


def resolve_precision(precision: str) -> str:
    """``bf16``, ``fp16`` or ``fp32``: the meaning of the setting on this hardware.

    Raises:
        TrainingError: for fp16 without a GPU.
    """
    if precision == "fp16" and not torch.cuda.is_available():
        raise TrainingError("precision fp16 needs a GPU, and there is none; set precision: auto")
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if torch.cpu.get_capabilities().get("avx512_bf16", False) else "fp32"


def quiet_lightning() -> None:
    """Silence Lightning's banners and advice; errors are still logged."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")

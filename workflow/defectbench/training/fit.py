"""One training from start, or from its last checkpoint, to its best weights."""

import fcntl
import hashlib
import logging
import math
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from defectbench.config.train import TrainSettings
from defectbench.training.dataset import Samples
from defectbench.training.losses import Loss
from defectbench.training.sampling import StepBatches
from defectbench.training.task import SegmentationTask, TrainingError


@dataclass(frozen=True)
class Fit:
    """What a training ended with."""

    history: pd.DataFrame
    weights: dict[str, dict[str, torch.Tensor]]
    """Weights of the kept checkpoints by name: the best three, best first, and the last."""
    best_step: int
    steps: int
    train_seconds: float
    peak_memory_bytes: int | None


class ResumableData(L.LightningDataModule):
    """Training batches that continue at the step a checkpoint was taken."""

    def __init__(self, train: Samples, val: Samples, settings: TrainSettings) -> None:
        """Shuffled batches of ``train``; ``val`` in order."""
        super().__init__()
        self.train, self.val, self.settings = train, val, settings
        self.batches = StepBatches(len(train), settings.batch_size, settings.seed)
        self.interval = settings.eval_every or self.batches.steps_per_pass
        self.total_steps = settings.steps or settings.epochs * self.batches.steps_per_pass

    @property
    def n_intervals(self) -> int:
        """Evaluations in the whole budget; each is an 'epoch' to Lightning."""
        return math.ceil(self.total_steps / self.interval)

    def train_dataloader(self) -> DataLoader:
        """Called anew for every epoch: the next evaluation interval, or what is left of the budget."""
        self.batches.start = self.trainer.global_step
        self.batches.n_steps = min(self.interval, self.total_steps - self.batches.start)
        return DataLoader(self.train, batch_sampler=self.batches, pin_memory=torch.cuda.is_available())

    def val_dataloader(self) -> DataLoader:
        """All validation images, clean ones too."""
        size = self.settings.batch_size
        order = [[(0, i) for i in range(k, min(k + size, len(self.val)))] for k in range(0, len(self.val), size)]
        return DataLoader(self.val, batch_sampler=order, pin_memory=torch.cuda.is_available())


def fit(
    name: str,
    network: nn.Module,
    loss: Loss,
    train: Samples,
    val: Samples,
    settings: TrainSettings,
    state: Path,
) -> Fit:
    """Train ``network``; its state lives in ``state`` and is taken up again if it is there.

    Raises:
        TrainingError: if the loss is not finite or memory runs out.
    """
    quiet_lightning()
    data = ResumableData(train, val, settings)
    # Convolutions on CPUs and tensor cores run about twice as fast with channels last.
    network.to(memory_format=torch.channels_last)
    task = SegmentationTask(name, network, loss, settings, data.total_steps, val)
    best = ModelCheckpoint(
        dirpath=state,
        filename="best_step{step}_iou{val_mIoU:.4f}_dice{val_Dice:.4f}",
        auto_insert_metric_name=False,
        monitor=settings.monitor,
        mode="max",
        save_top_k=3,
        save_weights_only=True,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    last = ModelCheckpoint(dirpath=state, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    stop = EarlyStopping(settings.monitor, patience=settings.patience, mode="max", check_on_train_epoch_end=True)
    trainer = L.Trainer(
        accelerator="auto",
        devices=1,
        precision="bf16-mixed" if resolved_precision(settings.precision) == "bf16" else "32-true",
        max_epochs=data.n_intervals,
        gradient_clip_val=settings.gradient_clip or None,
        deterministic="warn",
        callbacks=[best, last, stop],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        default_root_dir=state,
    )
    resume = state / "last.ckpt"
    try:
        trainer.fit(task, datamodule=data, ckpt_path=resume if resume.is_file() else None)
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"{name}: out of GPU memory at batch_size {settings.batch_size}; "
            f"set a smaller batch_size or img_size. {error}"
        ) from None
    history = pd.DataFrame(task.history)
    best_row = history.iloc[history[settings.monitor].argmax()]
    return Fit(
        history=history,
        weights=_weights([*sorted(best.best_k_models, key=best.best_k_models.get, reverse=True), resume]),
        best_step=int(best_row["step"]),
        steps=int(history["step"].iloc[-1]),
        train_seconds=float(history["epoch_time"].sum()),
        peak_memory_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
    )


def _weights(paths: list[str | Path]) -> dict[str, dict[str, torch.Tensor]]:
    """The network's weights in checkpoints of the task, by the checkpoints' names."""
    found = {}
    for path in map(Path, paths):
        values = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        # Without the task's prefix; safetensors holds contiguous tensors only.
        found[path.stem] = {name.removeprefix("network."): value.contiguous() for name, value in values.items()}
    return found


def resolved_precision(precision: str) -> str:
    """``bf16`` or ``fp32``: what 'auto' means on this hardware."""
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if torch.cpu.get_capabilities().get("avx512_bf16", False) else "fp32"


def fingerprint(*parts: str | bytes) -> str:
    """Key (16 hex digits) of everything a training depends on: a state is resumed only if it agrees."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8) + data)
    return digest.hexdigest()[:16]


@contextmanager
def training_state(folder: Path, key: str) -> Iterator[Path]:
    """The folder of the training state ``key``, locked; it goes when the block ends without an error.

    States of other keys are removed: they belong to other settings, data or code.

    Raises:
        TrainingError: if another process, such as one left over from a killed run, trains here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(f"another process is training in {folder}; wait for it or stop it") from None
        for stale in folder.iterdir():
            if stale.is_dir() and stale.name != key:
                shutil.rmtree(stale)
        (folder / key).mkdir(exist_ok=True)
        yield folder / key
        shutil.rmtree(folder / key)


def quiet_lightning() -> None:
    """Keep Lightning's banners and advice out of the logs; errors still show."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")

"""Checkpoints of a training: selection of the best, atomic writing, and the weights in them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from defectbench.config.train import MONITORS, TrainSettings
from defectbench.files import atomic


class Checkpoints:
    """Callbacks that save the best weights by each monitor, the last state and, optionally, weights at intervals."""

    def __init__(self, monitor: str, every: int | None, state: Path) -> None:
        """Save in ``state`` three by ``monitor``, one by each other metric, and one ``every`` so many steps, if any."""
        # The monitor, which selects the weights, comes first.
        metrics = sorted(MONITORS, key=lambda metric: metric != monitor)
        self._best = {metric: make_best_callback(metric, 3 if metric == monitor else 1, state) for metric in metrics}
        self._regular_folder = state / "kept"
        self.last = state / "last.ckpt"
        last = ModelCheckpoint(
            dirpath=state, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
        )
        regular = [] if every is None else [make_regular_callback(every, self._regular_folder)]
        self.callbacks = [*self._best.values(), last, *regular]

    def weights(self) -> "CheckpointWeights":
        """Weights of all checkpoints, the best first and the last at the end."""
        ranked = [
            path
            for callback in self._best.values()
            for path in sorted(callback.best_k_models, key=callback.best_k_models.get, reverse=True)
        ]
        regular = sorted(self._regular_folder.glob("step*.ckpt"), key=parse_step)
        return CheckpointWeights([*ranked, *regular, self.last])

    def best_names(self) -> dict[str, str]:
        """Metric -> name of the checkpoint where it was highest."""
        return {metric: Path(callback.best_model_path).stem for metric, callback in self._best.items()}


def make_best_callback(metric: str, n: int, state: Path) -> ModelCheckpoint:
    """A callback that saves the weights of the ``n`` evaluations with the highest ``metric``, in its own folder."""
    return ModelCheckpoint(
        dirpath=state / metric,
        filename="best_step{step}_iou{val_iou_fixed:.4f}_dice{val_dice_fixed:.4f}",
        auto_insert_metric_name=False,
        monitor=metric,
        mode="max",
        save_top_k=n,
        save_weights_only=True,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


def make_regular_callback(every: int, folder: Path) -> ModelCheckpoint:
    """A callback that saves the weights ``every`` so many steps."""
    return ModelCheckpoint(
        dirpath=folder,
        filename="step{step}",
        auto_insert_metric_name=False,
        save_top_k=-1,
        every_n_train_steps=every,
        save_weights_only=True,
        enable_version_counter=False,
    )


def parse_step(path: str | Path) -> int:
    """The optimiser step in a checkpoint's name."""
    return int(re.findall(r"step(\d+)", Path(path).stem)[0])


def make_stopping(settings: TrainSettings, total_steps: int) -> list["Stopping"]:
    """Early stopping by the settings in a training of ``total_steps``; none without ``patience``."""
    if settings.patience is None:
        return []
    return [Stopping(settings.monitor, settings.patience, settings.last_peak(total_steps))]


class Stopping(EarlyStopping):
    """Early stopping that counts from the learning rate's last peak.

    It survives a resume: a training killed after it had stopped does not continue.
    """

    def __init__(self, monitor: str, patience: int, first_step: int) -> None:
        """Stop after ``patience`` evaluations without a higher ``monitor``, ``first_step`` being the first to count."""
        super().__init__(monitor, patience=patience, mode="max", check_on_train_epoch_end=True)
        self.first_step = first_step

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count the evaluation, if it counts."""
        if trainer.global_step >= self.first_step:
            super().on_train_epoch_end(trainer, pl_module)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop again."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class AtomicCheckpoints(TorchCheckpointIO):
    """Atomic writing of checkpoints: Lightning copies across file systems, so that a kill could leave half a file."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to ``path``."""
        with atomic(Path(path)) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = lambda storage, _: storage, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read the checkpoint ``path``: tensors, plain values and containers of them, whatever Lightning asks for."""
        return torch.load(path, map_location=map_location, weights_only=True)


class CheckpointWeights(Mapping[str, dict[str, torch.Tensor]]):
    """Checkpoint name -> weights of the network, read from the file at each access."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        """``paths`` are checkpoints, best first; those with the same name hold the same weights."""
        self._paths = {Path(path).stem: path for path in paths}

    def __getitem__(self, name: str) -> dict[str, torch.Tensor]:
        """Weights by the network's parameter names."""
        values = torch.load(self._paths[name], map_location="cpu", weights_only=True)["state_dict"]
        # Without the task's prefix; safetensors needs contiguous tensors.
        return {key.removeprefix("network."): value.contiguous() for key, value in values.items()}

    def __iter__(self) -> Iterator[str]:
        """Names, best first."""
        return iter(self._paths)

    def __len__(self) -> int:
        """Number of checkpoints."""
        return len(self._paths)

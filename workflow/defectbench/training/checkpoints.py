"""Which checkpoints a training keeps, and how they are written and read."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from defectbench.config.train import MONITORS
from defectbench.files import atomic


class Checkpoints:
    """What a training keeps: the best weights by each monitor, the last state and, if asked for, regular weights."""

    def __init__(self, monitor: str, every: int | None, state: Path) -> None:
        """Three by ``monitor`` and one by each other; weights of ``every`` so many steps, or none; all in ``state``."""
        # The monitor's first: it chooses the weights.
        metrics = sorted(MONITORS, key=lambda metric: metric != monitor)
        self._best = {metric: best_checkpoints(metric, 3 if metric == monitor else 1, state) for metric in metrics}
        self._regular_folder = state / "kept"
        self.last = state / "last.ckpt"
        last = ModelCheckpoint(
            dirpath=state, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
        )
        regular = [] if every is None else [regular_checkpoints(every, self._regular_folder)]
        self.callbacks = [*self._best.values(), last, *regular]

    def weights(self) -> "KeptWeights":
        """All that is kept, the best first and the last at the end."""
        ranked = [
            path
            for found in self._best.values()
            for path in sorted(found.best_k_models, key=found.best_k_models.get, reverse=True)
        ]
        return KeptWeights([*ranked, *sorted(self._regular_folder.glob("step*.ckpt"), key=step_of), self.last])

    def best_names(self) -> dict[str, str]:
        """The best by each monitor."""
        return {metric: Path(found.best_model_path).stem for metric, found in self._best.items()}


def best_checkpoints(metric: str, n: int, state: Path) -> ModelCheckpoint:
    """Keeps the weights of the ``n`` evaluations with the highest ``metric``, in a folder of its own."""
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


def regular_checkpoints(every: int, folder: Path) -> ModelCheckpoint:
    """Keeps the weights of every so many steps, all of them."""
    return ModelCheckpoint(
        dirpath=folder,
        filename="step{step}",
        auto_insert_metric_name=False,
        save_top_k=-1,
        every_n_train_steps=every,
        save_weights_only=True,
        enable_version_counter=False,
    )


def step_of(path: str | Path) -> int:
    """The optimiser step in a checkpoint's name."""
    return int(re.findall(r"step(\d+)", Path(path).stem)[0])


class Stopping(EarlyStopping):
    """Early stopping that a training remembers: killed after it had stopped, it does not go on when taken up again."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop again."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes checkpoints in one move: Lightning's way is a copy across file systems, of which a kill leaves half."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to ``path``."""
        with atomic(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


class KeptWeights(Mapping[str, dict[str, torch.Tensor]]):
    """The network's weights in checkpoints of the task, by the checkpoints' names; read when they are asked for."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        """Checkpoints of the same name hold the same weights."""
        self._paths = {Path(path).stem: path for path in paths}

    def __getitem__(self, name: str) -> dict[str, torch.Tensor]:
        """Weights by the names that the network has for them."""
        values = torch.load(self._paths[name], map_location="cpu", weights_only=True)["state_dict"]
        # Without the task's prefix; safetensors holds contiguous tensors only.
        return {key.removeprefix("network."): value.contiguous() for key, value in values.items()}

    def __iter__(self) -> Iterator[str]:
        """Names, best first."""
        return iter(self._paths)

    def __len__(self) -> int:
        """Number of checkpoints."""
        return len(self._paths)

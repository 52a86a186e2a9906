"""The Lightning module: loss, optimiser, schedule, and validation at the images' own pixels."""

import math
import time
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import nn

from defectbench.config.train import TrainSettings
from defectbench.metrics import counts
from defectbench.script import UserError
from defectbench.training.dataset import Samples
from defectbench.training.losses import Loss


class TrainingError(UserError):
    """A training that cannot go on."""


class SegmentationTask(L.LightningModule):
    """Trains ``network`` (uint8 images -> logits) and validates it at the fixed threshold p = 0.5."""

    def __init__(
        self, name: str, network: nn.Module, loss: Loss, settings: TrainSettings, total_steps: int, val: Samples
    ) -> None:
        """``name`` opens each line of progress; ``total_steps`` is the length of the schedule."""
        super().__init__()
        self.name = name
        self.network = network
        self.loss = loss
        self.settings = settings
        self.total_steps = total_steps
        self.val = val
        self.history: list[dict[str, float]] = []
        self._losses: list[torch.Tensor] = []
        self._val_losses: list[torch.Tensor] = []
        self._val_counts: list[tuple[int, int, int]] = []
        self._started = self._trained_seconds = 0.0

    def on_train_epoch_start(self) -> None:
        """Start the clock of one row of the history."""
        self._started = time.perf_counter()
        self._losses = []

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed by step, so that a resumed run draws what an undisturbed one would have drawn."""
        torch.manual_seed(self.settings.seed + self.global_step)

    def training_step(self, batch: tuple[torch.Tensor, ...], batch_idx: int) -> torch.Tensor:
        """Loss of one batch.

        Raises:
            TrainingError: if it is not finite, naming step and images.
        """
        images, masks, indices = batch
        loss = self.loss(self.network(images), masks)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.global_step}, dataset indices {indices.tolist()}; "
                f"the last good checkpoint is kept. Try a lower lr than {self.settings.lr:g} or precision: fp32"
            )
        self._losses.append(loss.detach())
        return loss

    def on_validation_epoch_start(self) -> None:
        """Stop the clock of the training steps and forget the last validation."""
        self._trained_seconds = time.perf_counter() - self._started
        self._val_losses, self._val_counts = [], []

    def validation_step(self, batch: tuple[torch.Tensor, ...], batch_idx: int) -> None:
        """Count the merged masks of one batch, each at its image's own pixels."""
        images, masks, indices = batch
        logits = self.network(images)
        self._val_losses.append(self.loss(logits, masks).detach())
        for index, maps in zip(indices.tolist(), logits.float().cpu().numpy(), strict=True):
            truth = self.val.true_masks(index).max(axis=0)
            merged = self.val.geometry.restore(maps, *truth.shape).max(axis=0) >= 0
            self._val_counts.append(counts.confusion(truth, merged))

    def on_validation_epoch_end(self) -> None:
        """Log the metrics that checkpoints and early stopping watch."""
        table = np.array(self._val_counts)
        defective = table[table[:, 0] + table[:, 2] > 0]
        self.log_dict(
            {
                "val_loss": torch.stack(self._val_losses).mean().item(),
                "val_mIoU": float(counts.iou(*defective.T).mean()),
                "val_Dice": float(counts.dice(*defective.T).mean()),
            }
        )

    def on_train_epoch_end(self) -> None:
        """Add a row to the history and show it."""
        metrics = self.trainer.callback_metrics
        images = self.trainer.datamodule.batches.batch_size
        self.history.append(
            {
                "epoch": self.current_epoch,
                "step": self.global_step,
                "images_seen": self.global_step * images,
                "train_loss": torch.stack(self._losses).mean().item(),
                **{name: metrics[name].item() for name in ("val_loss", "val_mIoU", "val_Dice")},
                "learning_rate": self.optimizers().param_groups[0]["lr"],
                "epoch_time": time.perf_counter() - self._started,
                "images_per_second": len(self._losses) * images / self._trained_seconds,
            }
        )
        print(self._progress(self.history[-1]), flush=True)

    def _progress(self, row: dict[str, float]) -> str:
        return (
            f"{self.name}  step {row['step']:>5}/{self.total_steps}  loss {row['train_loss']:.3f}"
            f"  val_mIoU {row['val_mIoU']:.3f}  val_Dice {row['val_Dice']:.3f}"
            f"  {row['images_per_second']:.1f} images/s"
        )

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW with warm-up and cosine decay, per step."""
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=self.settings.lr, weight_decay=self.settings.wd)
        warmup = max(1, round(self.settings.warmup * self.total_steps))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: cosine_with_warmup(step, warmup, self.total_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the history with the state."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history up again."""
        self.history = checkpoint["history"]


def cosine_with_warmup(step: int, warmup: int, total: int) -> float:
    """Factor on the learning rate: rises linearly over ``warmup`` steps, then falls as half a cosine to 0.

    I. Loshchilov and F. Hutter, SGDR, ICLR 2017.
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))

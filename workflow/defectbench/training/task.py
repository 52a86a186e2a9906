"""The Lightning module: training steps, schedule, history, and validation at the images' own pixels."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import nn

from defectbench.config.train import MONITORS, TrainSettings
from defectbench.data.packing import IGNORED
from defectbench.inference.memory import peak_memory_bytes
from defectbench.metrics import counts
from defectbench.metrics.codes import codes_from_logits
from defectbench.training.averaging import WeightAverage
from defectbench.training.dataset import Samples
from defectbench.training.extremes import Extremes
from defectbench.training.losses import deeply_supervised
from defectbench.training.optimisation import ParameterGroup, make_optimizer, make_schedule
from defectbench.training.state import TrainingError
from defectbench.training.validation import Evaluation

TrainingOutputs = tuple[torch.Tensor, torch.Tensor | tuple[torch.Tensor, ...], torch.Tensor]
"""Loss of a batch, logits (N, C, H, W), with deep supervision several, finest first, and masks of 0, 1 and IGNORED."""
ValidationOutputs = tuple[torch.Tensor, torch.Tensor]
"""Loss of a batch, and logits (N, C, H, W)."""
HistoryRow = dict[str, float | None]
_TIE = 1e-9


class SegmentationTask(L.LightningModule):
    """Training and validation steps of ``network`` (uint8 images -> logits)."""

    def __init__(
        self,
        name: str,
        network: nn.Module,
        loss: Any,
        settings: TrainSettings,
        total_steps: int,
        val: Samples,
        classes: Sequence[str],
    ) -> None:
        """``name`` is for progress lines, ``total_steps`` the length of the schedule, ``classes`` the names of maps.

        In training the network may return a tuple of logits, finest first, for deep supervision.
        """
        super().__init__()
        self.name = name
        self.network = network
        self.loss: Any = deeply_supervised(loss)
        self.settings = settings
        self.total_steps = total_steps
        self.val = val
        self.classes = classes
        self.history: list[HistoryRow] = []
        self.state_folder = Path()
        """Folder of the training's state, in which a task may write files."""
        self.report: Callable[[HistoryRow], None] | None = None
        """If set, it is called with each row of the history."""
        self.extremes: Extremes | None = None
        """If set, each validated image is added to it."""
        self._average = WeightAverage(self, settings.ema)
        self._resumed_weights: dict[str, torch.Tensor] | None = None
        self._evaluation = Evaluation(classes)
        self.val_scores: dict[str, Any] = {}
        self._losses: list[torch.Tensor] = []
        self._val_losses: list[torch.Tensor] = []
        self._train_counts: torch.Tensor | int = 0
        self._started = self._waiting_since = self._waited = self._trained_seconds = 0.0

    def on_train_start(self) -> None:
        """Start the average of the weights, or resume it."""
        self._average.start(self._resumed_weights)

    def on_train_end(self) -> None:
        """Forget the average; all that is kept of it is in the checkpoints."""
        self._average.stop()

    def on_train_epoch_start(self) -> None:
        """Start the clocks of one row of the history."""
        self._started = self._waiting_since = time.perf_counter()
        self._waited = 0.0
        self._losses, self._train_counts = [], 0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed by batch, so that a resumed training has the random numbers of an undisturbed one."""
        self._waited += time.perf_counter() - self._waiting_since
        accumulate = self.trainer.accumulate_grad_batches
        number = self.global_step * accumulate + batch_idx % accumulate
        # Devices have different random numbers.
        torch.manual_seed(self.settings.seed + number + self.global_rank * self.total_steps * accumulate)

    def training_step(self, batch: tuple[torch.Tensor, ...], batch_idx: int) -> torch.Tensor:
        """Loss of one batch.

        Raises:
            TrainingError: if it is not finite, naming step and images.
        """
        images, masks, indices = batch
        loss, outputs, true_masks = self.training_outputs(images, masks, indices)
        self._check_finite(loss, indices)
        self._losses.append(loss.detach())
        self._train_counts = self._train_counts + _confusion(outputs, true_masks)
        return loss

    def training_outputs(self, images: torch.Tensor, masks: torch.Tensor, indices: torch.Tensor) -> TrainingOutputs:
        """Forward pass of a training step; families whose networks need more than the image override it."""
        outputs = self.network(images)
        return self.loss(outputs, masks), outputs, masks

    def validation_outputs(self, images: torch.Tensor, masks: torch.Tensor, indices: torch.Tensor) -> ValidationOutputs:
        """Forward pass of a validation step: one map of logits per image and class."""
        logits = self.network(images)
        return self.loss(logits, masks), logits

    def optimizer_step(self, *arguments: Any, **keys: Any) -> None:
        """Average the weights after the step, which :attr:`global_step` does not count yet."""
        super().optimizer_step(*arguments, **keys)
        self._average.update(self.global_step + 1)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Start the clock of waiting for the next batch."""
        self._waiting_since = time.perf_counter()

    def on_validation_epoch_start(self) -> None:
        """Stop the clock of the training steps, reset the scores, and let the averaged weights predict."""
        self._trained_seconds = time.perf_counter() - self._started
        self._average.swap()
        self._val_losses, self._evaluation = [], Evaluation(self.classes)

    def validation_step(self, batch: tuple[torch.Tensor, ...], batch_idx: int) -> None:
        """Score the maps of one batch at the images' own pixels.

        Raises:
            TrainingError: if they are not finite, naming step and images.
        """
        images, masks, indices = batch
        loss, logits = self.validation_outputs(images, masks, indices)
        self._check_finite(loss, indices, "val ")
        self._val_losses.append(loss)
        if not self.trainer.is_global_zero:
            return
        for index, maps in zip(indices.tolist(), logits.float().cpu().numpy(), strict=True):
            truth = self.val.true_masks(index)
            maps = self.val.geometry.restore(maps, *truth.shape[1:])
            self.add_validated(index, codes_from_logits(maps), truth)

    def add_validated(self, index: int, codes: np.ndarray, truth: np.ndarray) -> None:
        """Add the codes (C, H, W) of val image ``index`` to the scores; its ``truth`` is of 0, 1 and IGNORED."""
        self._evaluation.add(codes, truth)
        if self.extremes is not None:
            self.extremes.add(index, codes, truth)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics that checkpoints and early stopping watch.

        As long as they are 0, which networks of rare defects are at first, a lower validation loss counts as better.

        Raises:
            TrainingError: if they are not defined, because no val image has a defect.
        """
        self._average.swap()
        metrics = self._val_loss() | self._evaluation.metrics() if self.trainer.is_global_zero else {}
        self.val_scores = self.trainer.strategy.broadcast(metrics)
        if self.val_scores[self.settings.monitor] is None:
            raise TrainingError(f"{self.settings.monitor} is not defined: no val image has a defect. Split again")
        self.log_dict({name: self._watched(name) for name in MONITORS}, logger=False)

    def _watched(self, monitor: str) -> float:
        """Value of ``monitor`` for the choice between evaluations: too small a term to count unless both have 0."""
        return self.val_scores[monitor] + _TIE / (1 + self.val_scores["val_loss"])

    def begin_history(self) -> None:
        """Add the row of a validation before any training: step 0, no training loss."""
        absent = dict.fromkeys(("train_iou", "learning_rate", "images_per_second", "data_wait_share"))
        start: HistoryRow = {"epoch": 0, "step": 0, "images_seen": 0, "train_loss": None}
        costs = {"epoch_time": 0.0, "peak_memory": peak_memory_bytes()}
        self.history = [start | self.val_scores | absent | costs]
        self._report_row()

    def on_train_epoch_end(self) -> None:
        """Add a row to the history and print it; step a schedule that watches the monitor."""
        data, reduce = self.trainer.datamodule, self.trainer.strategy.reduce
        batch_size = data.batches.batch_size
        train_loss = reduce(torch.stack(self._losses).mean(), reduce_op="mean")
        train_counts = reduce(self._train_counts, reduce_op="sum")
        self.history.append(
            {
                "epoch": len(self.history),
                "step": self.global_step,
                "images_seen": self.global_step * self.settings.accumulate * batch_size,
                "train_loss": train_loss.item(),
                **self.val_scores,
                "train_iou": float(counts.iou(*train_counts.cpu().numpy())),
                "learning_rate": self.optimizers().param_groups[0]["lr"],
                "epoch_time": time.perf_counter() - self._started,
                "images_per_second": len(self._losses) * batch_size / data.micro_batches / self._trained_seconds,
                "data_wait_share": self._waited / self._trained_seconds,
                "peak_memory": peak_memory_bytes(),
            }
        )
        if self.trainer.is_global_zero:
            print(self._progress(self.history[-1]), flush=True)
        self._report_row()
        if self.settings.schedule == "plateau":
            self.lr_schedulers().step(self._watched(self.settings.monitor))

    def _report_row(self) -> None:
        if self.report is not None:
            self.report(self.history[-1])

    def _val_loss(self) -> HistoryRow:
        return {"val_loss": torch.stack(self._val_losses).mean().item()}

    def _check_finite(self, loss: torch.Tensor, indices: torch.Tensor, role: str = "") -> None:
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the {role}loss is {loss.item()} at step {self.global_step}, dataset indices {indices.tolist()}; "
                f"the last good checkpoint is kept. Try a lower lr than {self.settings.lr:g} or precision: fp32"
            )

    def _progress(self, row: HistoryRow) -> str:
        return (
            f"{self.name}  step {row['step']:>5}/{self.total_steps}  loss {row['train_loss']:.3f}"
            f"  val IoU {row['val_iou_fixed']:.3f}  val Dice {row['val_dice_fixed']:.3f}"
            f"  {row['images_per_second']:.1f} images/s"
        )

    def configure_optimizers(self) -> dict[str, Any]:
        """Optimiser and schedule of the settings."""
        optimizer = make_optimizer(self.settings, self.parameter_groups())
        schedule = make_schedule(self.settings, optimizer, self.total_steps)
        by_monitor = {"interval": "epoch", "monitor": self.settings.monitor, "reduce_on_plateau": True}
        options = by_monitor if self.settings.schedule == "plateau" else {"interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, **options}}

    def parameter_groups(self) -> list[ParameterGroup]:
        """Trainable parameters in groups that differ in settings of the optimiser."""
        return [{"params": [parameter for parameter in self.network.parameters() if parameter.requires_grad]}]

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step schedules that are stepped every step.

        Lightning would step the others after the checkpoint is written, and a resumed training would miss that step;
        :meth:`on_train_epoch_end` comes before.
        """
        if metric is None:
            scheduler.step()

    @property
    def strict_loading(self) -> bool:
        """Whether a checkpoint must have all parameters; frozen ones are not saved."""
        return all(parameter.requires_grad for parameter in self.parameters())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the history, the averaged weights, and no frozen parameters.

        A resumed training is built with the same frozen ones.
        """
        checkpoint["history"] = self.history
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                del checkpoint["state_dict"][name]
        checkpoint["state_dict"] |= self._average.weights()
        # Only a resumed training needs the others: checkpoints of weights alone have no state of the optimiser either.
        resumable = "optimizer_states" in checkpoint
        checkpoint["live_weights"] = dict(self._average.live_weights()) if resumable else {}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the history, and keep the weights to go on with: the network gets the averaged ones."""
        self.history, self._resumed_weights = checkpoint["history"], checkpoint["live_weights"]


def _confusion(outputs: torch.Tensor | tuple[torch.Tensor, ...], masks: torch.Tensor) -> torch.Tensor:
    """True and false positive and false negative pixels (3,), int64, of the merged masks at p = 0.5."""
    logits = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
    predicted, truth = (logits.detach() >= 0).any(dim=1), (masks == 1).any(dim=1)
    predicted &= (masks != IGNORED).all(dim=1)
    return torch.stack([(predicted & truth).sum(), (predicted & ~truth).sum(), (~predicted & truth).sum()])

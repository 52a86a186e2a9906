"""Training and validation steps of SAM 3; the predictions of every validation are written to files."""

from contextlib import ExitStack
from typing import Any

import numpy as np
import torch

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.families.sam3.loss import Sam3Loss
from defectbench.families.sam3.network import PhraseSam3
from defectbench.inference.prediction_file import PredictionHeader, PredictionWriter, write_predictions
from defectbench.training.losses import make_loss
from defectbench.training.task import SegmentationTask, TrainingOutputs, ValidationOutputs

PROGRESS = "progress"
"""Folder of the predictions of every validation, below that of the training's state."""


class Sam3Task(SegmentationTask):
    """Trains and validates a :class:`PhraseSam3`.

    A training step is prompted with one random phrase of each group; a validation averages all, as prediction does.
    """

    network: PhraseSam3
    settings: Sam3Settings

    def __init__(self, name: str, network: PhraseSam3, loss: Sam3Loss, *rest: Any) -> None:
        """As :class:`SegmentationTask`."""
        super().__init__(name, network, loss, *rest)
        self.loss = loss  # without the base class's wrapper for deep supervision
        self._map_loss = make_loss(self.settings.loss)
        self._open = ExitStack()
        self._writer: PredictionWriter | None = None

    def training_outputs(self, images: torch.Tensor, masks: torch.Tensor, indices: torch.Tensor) -> TrainingOutputs:
        """Loss and maps of one random phrase of each group."""
        network = self.network
        numbers = [group[int(torch.randint(len(group), ()))] for group in network.groups]
        pyramid = network.pyramid(network.encode(images))
        phrases = zip(numbers, network.text_features(numbers), strict=True)
        outputs = [network.segment_phrase(pyramid, *phrase) for phrase in phrases]
        stacked = network.stack_outputs(outputs)
        loss = self.loss(stacked, network.upsample(stacked.semantic), masks)
        with torch.no_grad():
            maps = torch.stack([network.phrase_map(output, network.size) for output in outputs], dim=1)
            return loss, network.merge_groups(maps), masks

    def validation_outputs(self, images: torch.Tensor, masks: torch.Tensor, indices: torch.Tensor) -> ValidationOutputs:
        """Maps averaged over all phrases, and their loss."""
        logits = self.network(images)
        return self._map_loss(logits, masks), logits

    def on_validation_epoch_start(self) -> None:
        """Open the file of this validation's predictions; the last validation, of the best weights, has none."""
        super().on_validation_epoch_start()
        if self.extremes is None and self.trainer.is_global_zero:
            header = PredictionHeader("val", tuple(self.classes), has_scores=True)
            path = self.state_folder / PROGRESS / f"epoch{len(self.history)}.pred.parquet"
            self._writer = self._open.enter_context(write_predictions(path, header))

    def add_validated(self, index: int, codes: np.ndarray, truth: np.ndarray) -> None:
        """Add the codes to the scores and to the file of predictions."""
        super().add_validated(index, codes, truth)
        if self._writer is not None:
            self._writer.add(self.val.image_ids[index], codes)

    def on_validation_epoch_end(self) -> None:
        """Finish the file."""
        self._open.close()
        self._writer = None
        super().on_validation_epoch_end()

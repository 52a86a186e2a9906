"""Training of SAM 3's adapters: the common task, with phrases; the predictions of every validation are kept."""

from contextlib import ExitStack
from typing import Any

import numpy as np
import torch

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.data.prediction_file import PredictionHeader, PredictionWriter, write_predictions
from defectbench.families.sam3.loss import Sam3Loss
from defectbench.families.sam3.network import PhraseSam3
from defectbench.training.losses import make_loss
from defectbench.training.task import SegmentationTask, TrainingOutputs, ValidationOutputs

PROGRESS = "progress"
"""Folder, in that of the training's state, of the predictions of every validation."""


class Sam3Task(SegmentationTask):
    """Trains and validates a :class:`PhraseSam3`.

    A training step asks by one phrase of each group, drawn anew; a validation averages all, as prediction does.
    """

    network: PhraseSam3
    settings: Sam3Settings

    def __init__(self, name: str, network: PhraseSam3, loss: Sam3Loss, *rest: Any) -> None:
        """As :class:`SegmentationTask`; predictions of each validation are written to the folder :data:`PROGRESS`."""
        super().__init__(name, network, loss, *rest)
        self.loss = loss  # as it is: it does not take the outputs of deep supervision
        self._map_loss = make_loss(self.settings.loss)
        self._open = ExitStack()
        self._writer: PredictionWriter | None = None

    def training_outputs(self, images: torch.Tensor, masks: torch.Tensor, indices: torch.Tensor) -> TrainingOutputs:
        """Loss of the answers to one phrase of each group; the maps that they make."""
        network = self.network
        drawn = [own[int(torch.randint(len(own), ()))] for own in network.groups]
        pyramid = network.pyramid(network.encode(images))
        phrases = zip(drawn, network.text_features(drawn), strict=True)
        answers = [network.answer(pyramid, *phrase) for phrase in phrases]
        joined = network.together(answers)
        loss = self.loss(joined, network.enlarge(joined.semantic), masks)
        with torch.no_grad():
            maps = network.joined(torch.stack([network.map_of(answer) for answer in answers], dim=1))
            return loss, network.enlarge(maps), masks

    def validation_outputs(self, images: torch.Tensor, masks: torch.Tensor, indices: torch.Tensor) -> ValidationOutputs:
        """The maps as prediction makes them, and their loss."""
        logits = self.network(images)
        return self._map_loss(logits, masks), logits

    def on_validation_epoch_start(self) -> None:
        """Open the file of this validation's predictions; the last one, of the best weights, has none."""
        super().on_validation_epoch_start()
        if self.extremes is None and self.trainer.is_global_zero:
            header = PredictionHeader("val", tuple(self.classes), has_scores=True)
            path = self.state_folder / PROGRESS / f"epoch{len(self.history)}.pred.parquet"
            self._writer = self._open.enter_context(write_predictions(path, header))

    def add_validated(self, index: int, codes: np.ndarray, truth: np.ndarray) -> None:
        """Keep the codes, too."""
        super().add_validated(index, codes, truth)
        if self._writer is not None:
            self._writer.add(self.val.image_ids[index], codes)

    def on_validation_epoch_end(self) -> None:
        """Finish the file."""
        self._open.close()
        self._writer = None
        super().on_validation_epoch_end()

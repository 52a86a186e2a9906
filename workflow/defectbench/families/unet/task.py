"""Training steps of CNNs with a presence head."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from defectbench.data.packing import IGNORED
from defectbench.families.unet.network import mask_and_presence
from defectbench.training.task import SegmentationTask, TrainingOutputs


class PresenceTask(SegmentationTask):
    """Trains maps and presence, each with its own loss; validates their combination, as prediction does."""

    def training_outputs(self, images: torch.Tensor, masks: torch.Tensor, indices: torch.Tensor) -> TrainingOutputs:
        """The settings' loss of the maps + BCE of the presence of a decided defect in each sample and map."""
        maps, presence = self.network(images)
        present = (masks == 1).flatten(2).any(dim=2).float()
        decided = (masks != IGNORED).flatten(2).any(dim=2).float()
        loss = self.loss(maps, masks) + binary_cross_entropy_with_logits(presence.float(), present, weight=decided)
        return loss, mask_and_presence(maps.detach(), presence.detach()), masks

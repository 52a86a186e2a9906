"""Loss of SAM 3: semantic map, presence and, optionally, instances."""

import cv2
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.data.packing import IGNORED
from defectbench.families.sam3.network import PhraseOutput
from defectbench.training.losses import focal_loss, make_loss


class Sam3Loss:
    """Loss of outputs whose tensors have an axis of maps after that of the images: (B, n, ...).

    The sum of the loss of the semantic map, ``presence_weight`` · BCE of the presence, and ``instance_weight`` ·
    :func:`instance_loss`, the mean over all maps that have a defect. IGNORED pixels are in no term: presence is that
    of a defect elsewhere.
    """

    def __init__(self, settings: Sam3Settings) -> None:
        """Take loss and weights from ``settings``."""
        self.map_loss = make_loss(settings.loss)
        self.presence_weight = settings.presence_weight
        self.instance_weight = settings.instance_weight

    def __call__(self, output: PhraseOutput, semantic: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Loss of ``output``, whose semantic map at the size of ``truth`` (B, n, H, W) is ``semantic``."""
        present = (truth == 1).flatten(2).any(dim=2)
        loss = self.map_loss(semantic, truth)
        bce = functional.binary_cross_entropy_with_logits
        decided = (truth != IGNORED).flatten(2).any(dim=2).float()
        loss = loss + self.presence_weight * bce(output.presence, present.float(), weight=decided)
        if self.instance_weight and present.any():
            losses = [
                instance_loss(output.masks[index], output.scores[index], truth[index])
                for index in map(tuple, present.nonzero().tolist())
            ]
            loss = loss + self.instance_weight * torch.stack(losses).mean()
        return loss


def instance_loss(masks: torch.Tensor, scores: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Loss of Q instances, masks (Q, h, w) and scores (Q,) in logits, against a true mask (H, W) with a defect.

    Queries are matched one to one to the 8-connected components of the truth: BCE + Dice of the matched masks, and
    focal BCE of all scores, whose targets are the matched queries. B. Cheng et al., Masked-attention mask transformer
    for universal image segmentation, CVPR 2022, without sampling points. A clean image has no such loss: scores say
    what is an instance *if* anything is in the image, which the presence says.
    """
    with torch.autocast(masks.device.type, enabled=False):
        size = masks.shape[-2:]
        targets, flat = component_masks(truth == 1, size).flatten(1), masks.float().flatten(1)
        if (truth == IGNORED).any():
            # A coarse pixel that covers ignored ones, and no defect, is left out.
            ignored = functional.adaptive_max_pool2d((truth == IGNORED)[None].float(), size)[0] > 0
            counted = targets.any(dim=0) | ~ignored.flatten()
            targets, flat = targets[:, counted], flat[:, counted]
        cost = pairwise_bce(flat, targets) + pairwise_dice(flat, targets)
        query, component = linear_sum_assignment((cost - scores.sigmoid()[:, None]).detach().cpu().numpy())
        matched = torch.zeros_like(scores)
        matched[query] = 1
        return cost[query, component].mean() + focal_loss(scores.view(1, 1, -1), matched.view(1, 1, -1))


def component_masks(truth: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The 8-connected components (N, h, w), float32, 0 and 1, of a mask (H, W), at ``size``.

    A pixel is set if any pixel that it covers is set, so that a thin crack is not lost.
    """
    n, labels = cv2.connectedComponents(truth.to(torch.uint8).cpu().numpy(), connectivity=8)
    planes = torch.from_numpy(labels[None] == np.arange(1, n)[:, None, None])
    return functional.adaptive_max_pool2d(planes.float().to(truth.device), size)


def pairwise_bce(masks: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy (Q, N) of logits (Q, P) against each of the masks (N, P)."""
    positive, negative = functional.softplus(-masks), functional.softplus(masks)
    return (positive @ targets.T + negative @ (1 - targets).T) / masks.shape[1]


def pairwise_dice(masks: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """1 − (2·Σ p·t + 1) / (Σ p + Σ t + 1), (Q, N), of logits (Q, P) against each of the masks (N, P)."""
    p = masks.sigmoid()
    return 1 - (2 * p @ targets.T + 1) / (p.sum(dim=1)[:, None] + targets.sum(dim=1) + 1)

"""What SAM 3's adapters learn from: the semantic map, whether there is anything at all, and, if asked, instances."""

import cv2
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.families.sam3.network import Answer
from defectbench.training.losses import focal_loss, make_loss


class Sam3Loss:
    """Loss of answers whose tensors have an axis of maps after that of the images: (B, n, ...).

    The sum of the loss of the semantic map, ``presence_weight`` · BCE of the presence, and ``instance_weight`` ·
    :func:`instance_loss`, the mean over all maps that have a defect.
    """

    def __init__(self, settings: Sam3Settings) -> None:
        """Weights and kind of loss are those of the settings."""
        self.of_map = make_loss(settings.loss)
        self.presence_weight = settings.presence_weight
        self.instance_weight = settings.instance_weight

    def __call__(self, answer: Answer, semantic: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Loss of ``answer``, whose semantic map at the size of ``truth`` (B, n, H, W) is ``semantic``."""
        present = truth.flatten(2).any(dim=2)
        loss = self.of_map(semantic, truth)
        bce = functional.binary_cross_entropy_with_logits
        loss = loss + self.presence_weight * bce(answer.presence, present.float())
        if self.instance_weight and present.any():
            found = [
                instance_loss(answer.masks[place], answer.scores[place], truth[place])
                for place in map(tuple, present.nonzero().tolist())
            ]
            loss = loss + self.instance_weight * torch.stack(found).mean()
        return loss


def instance_loss(masks: torch.Tensor, scores: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Loss of Q instances, masks (Q, h, w) and scores (Q,) in logits, against a true mask (H, W) with a defect.

    Each 8-connected component of the truth is given the query that fits it best, one to one: BCE + Dice of the masks
    of those, and focal BCE of all scores, which are to say who was chosen. B. Cheng et al., Masked-attention mask
    transformer for universal image segmentation, CVPR 2022, without sampling points. A clean image has no such loss:
    scores say what is an instance *if* anything is there, which is what the presence says.
    """
    with torch.autocast(masks.device.type, enabled=False):
        wanted = components(truth, masks.shape[-2:])
        flat, wanted = masks.float().flatten(1), wanted.flatten(1)
        cost = pairwise_bce(flat, wanted) + pairwise_dice(flat, wanted)
        query, component = linear_sum_assignment((cost - scores.sigmoid()[:, None]).detach().cpu().numpy())
        chosen = torch.zeros_like(scores)
        chosen[query] = 1
        return cost[query, component].mean() + focal_loss(scores.view(1, 1, -1), chosen.view(1, 1, -1))


def components(truth: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The 8-connected components (N, h, w), float32, 0 and 1, of a mask (H, W), at ``size``.

    A pixel there is set if any is below it, so that a thin crack is not lost.
    """
    n, labels = cv2.connectedComponents(truth.to(torch.uint8).cpu().numpy(), connectivity=8)
    planes = torch.from_numpy(labels[None] == np.arange(1, n)[:, None, None])
    return functional.adaptive_max_pool2d(planes.float().to(truth.device), size)


def pairwise_bce(masks: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy (Q, N) of logits (Q, P) against each of the masks (N, P)."""
    positive, negative = functional.softplus(-masks), functional.softplus(masks)
    return (positive @ wanted.T + negative @ (1 - wanted).T) / masks.shape[1]


def pairwise_dice(masks: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """1 − (2·Σ p·t + 1) / (Σ p + Σ t + 1), (Q, N), of logits (Q, P) against each of the masks (N, P)."""
    p = masks.sigmoid()
    return 1 - (2 * p @ wanted.T + 1) / (p.sum(dim=1)[:, None] + wanted.sum(dim=1) + 1)

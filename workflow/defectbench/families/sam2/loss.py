"""Loss of SAM 2: masks, predicted IoU, and object score."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from defectbench.data.packing import IGNORED
from defectbench.families.sam2.network import DecoderOutput
from defectbench.training.losses import leave_out_ignored, mean_factor

_GAMMA = 2.0


@dataclass(frozen=True)
class Recipe:
    """Weights of the terms."""

    focal: float
    dice: float
    iou: float = 1.0
    object_score: float = 1.0
    alpha: float | None = 0.25
    """Weight of object pixels in the focal term; None: none."""
    score_decides: bool = True
    """Whether the object score alone learns of empty targets, and drops masks in training as it does in videos."""


RECIPES = {
    # N. Ravi et al., SAM 2: Segment anything in images and videos, 2024, and its published training code.
    "published": Recipe(focal=20, dice=1),
    "dice_focal": Recipe(focal=1, dice=1, alpha=None, score_decides=False),
}


class Sam2Loss:
    """Mean over prompts of weighted focal, Dice, IoU and object terms, computed in float32.

    Of a prompt's masks only the one with the lowest focal and Dice loss is trained; the IoU term averages all masks.
    Mask and IoU terms are 0 for empty targets, which train the object score alone. (Unless ``score_decides``, they have
    the focal term too; Dice is not defined.) IGNORED pixels are in no term, and a prompt without any other has none.
    """

    def __init__(self, recipe: str) -> None:
        """``recipe`` is one of RECIPES."""
        self.recipe = RECIPES[recipe]

    def __call__(self, output: DecoderOutput, masks: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of ``output``, whose ``masks`` (P, M, H, W) are logits, against ``targets`` (P, H, W): 0, 1, IGNORED."""
        with torch.autocast(masks.device.type, enabled=False):
            masks, iou, score = masks.float(), output.iou.float(), output.object_score.float()
            factor, decided = mean_factor(targets, 1)[:, None], (targets != IGNORED).flatten(1).any(dim=1).float()
            masks, true_masks = leave_out_ignored(masks, targets[:, None].float().expand_as(masks))
            present = (targets == 1).flatten(1).any(dim=1).float()
            focal = self.recipe.focal * focal_per_mask(masks, true_masks, self.recipe.alpha) * factor
            dice = self.recipe.dice * dice_per_mask(masks, true_masks) * present[:, None]
            if self.recipe.score_decides:
                focal = focal * present[:, None]
            best = (focal + dice).amin(dim=1)
            iou_loss = functional.l1_loss(iou, true_iou(masks, true_masks), reduction="none").mean(dim=1) * present
            score_loss = functional.binary_cross_entropy_with_logits(score, present, reduction="none") * decided
            return (best + self.recipe.iou * iou_loss + self.recipe.object_score * score_loss).mean()


def focal_per_mask(logits: torch.Tensor, targets: torch.Tensor, alpha: float | None) -> torch.Tensor:
    """Focal loss (P, M), mean over the pixels of each mask: α_t · (1 − p_t)² · BCE.

    T.-Y. Lin et al., Focal loss for dense object detection, ICCV 2017.
    """
    bce = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    # BCE = −log p_t
    loss = bce * (1 - torch.exp(-bce)) ** _GAMMA
    if alpha is not None:
        loss = loss * (alpha * targets + (1 - alpha) * (1 - targets))
    return loss.flatten(2).mean(dim=2)


def dice_per_mask(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """1 − (2 Σ p t + 1) / (Σ p + Σ t + 1) of each mask, (P, M)."""
    p, t = logits.sigmoid().flatten(2), targets.flatten(2)
    return 1 - (2 * (p * t).sum(dim=2) + 1) / (p.sum(dim=2) + t.sum(dim=2) + 1)


@torch.no_grad()
def true_iou(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """IoU (P, M) of the masks at p = 0.5; 0 where both are empty."""
    predicted, truth = (logits > 0).flatten(2), (targets > 0).flatten(2)
    union = (predicted | truth).sum(dim=2)
    return (predicted & truth).sum(dim=2) / union.clamp(min=1)

"""Losses on logits (B, C, H, W) against masks (B, C, H, W) of 0 and 1."""

from collections.abc import Callable

import segmentation_models_pytorch as smp
import torch
from torch.nn import functional

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def make_loss(name: str) -> Loss:
    """The loss of the settings: Dice plus a pixel-wise term, each with weight 1.

    Soft Dice is (tp + 1) / (tp + fp/2 + fn/2 + 1), pooled per class over the batch, and left out for a class without
    a true pixel in the batch: a clean image is no full error. Both terms are computed in float32 whatever the
    network's precision.
    """
    pixel: Loss = {"dice_focal": focal_loss, "dice_bce": functional.binary_cross_entropy_with_logits}[name]
    dice = smp.losses.DiceLoss(mode="multilabel", from_logits=True, smooth=1.0)

    def loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        logits, masks = logits.float(), masks.float()
        return dice(logits, masks) + pixel(logits, masks)

    return loss


def focal_loss(logits: torch.Tensor, masks: torch.Tensor, gamma: float = 2.0) -> torch.Tensor:
    """Focal binary cross-entropy, mean over pixels: (1 − p_t)^γ · BCE.

    T.-Y. Lin et al., Focal loss for dense object detection, ICCV 2017, without its α.
    """
    return smp.losses.FocalLoss(mode="multilabel", gamma=gamma)(logits, masks)

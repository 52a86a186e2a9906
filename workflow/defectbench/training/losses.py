"""Losses of logits (B, C, H, W) against masks (B, C, H, W) of 0, 1 and IGNORED; docs/losses.md compares them."""

from collections.abc import Callable

import segmentation_models_pytorch as smp
import torch
from torch.nn import functional

from defectbench.data.packing import IGNORED

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

# Weight of a false positive and of a false negative pixel: S. S. M. Salehi et al., Tversky loss function for image
# segmentation using 3D fully convolutional deep networks, MLMI 2017.
_TVERSKY_FP, _TVERSKY_FN = 0.3, 0.7
# Its p, its BCE without a defect and the gradients of both are exactly 0 in float32.
_SURELY_NONE = -1e4


def make_loss(name: str, pos_weight: tuple[float, ...] = (1.0,)) -> Loss:
    """The loss of the settings.

    ``pos_weight`` are the weights of defect pixels in a BCE term: one for all maps, or one for each. Everything is
    computed in float32, whatever the network's precision. IGNORED pixels take part in no sum and no mean.
    """
    bce, dice, focal = BCE(pos_weight), dice_loss(), focal_loss
    terms: dict[str, list[tuple[float, Loss]]] = {
        "bce": [(1, bce)],
        "dice": [(1, dice)],
        "combo": [(0.5, bce), (0.5, dice)],
        "bce75_dice25": [(0.75, bce), (0.25, dice)],
        "dice_bce": [(1, dice), (1, bce)],
        "dice_focal": [(1, dice), (1, focal)],
        "tversky": [(1, tversky_loss())],
        "lovasz": [(1, lovasz_loss)],
    }

    def loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            factor = mean_factor(masks)
            logits, masks = leave_out_ignored(logits.float(), masks.float())
            factors = {bce: factor, focal: factor}
            return sum(weight * term(logits, masks) * factors.get(term, 1) for weight, term in terms[name])

    return loss


def leave_out_ignored(logits: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``logits`` and ``masks`` with a sure and right prediction in IGNORED pixels: they add nothing to any sum."""
    counted = masks != IGNORED
    return torch.where(counted, logits, _SURELY_NONE), torch.where(counted, masks, 0)


def mean_factor(masks: torch.Tensor, first_axis: int = 0) -> torch.Tensor:
    """All pixels divided by those that are not IGNORED: by it, a mean over all becomes one over these.

    Along all axes of ``masks`` from ``first_axis`` on; exactly 1 where no pixel is ignored.
    """
    counted = (masks != IGNORED).flatten(first_axis)
    return counted.shape[-1] / counted.sum(dim=-1).clamp(min=1)


class BCE:
    """Binary cross-entropy, mean over pixels and maps: −(w·t·log p + (1 − t)·log(1 − p))."""

    def __init__(self, pos_weight: tuple[float, ...]) -> None:
        """``pos_weight``: w of every map, or one for all."""
        self.pos_weight = torch.tensor(pos_weight).view(-1, 1, 1)

    def __call__(self, logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Loss of a batch of logits and masks."""
        weight = self.pos_weight.to(logits.device)
        return functional.binary_cross_entropy_with_logits(logits, masks, pos_weight=weight)


def dice_loss() -> Loss:
    """1 − (tp + 1) / (tp + fp/2 + fn/2 + 1) of soft counts, pooled per map over the batch; mean over maps.

    A map without a true pixel in the batch adds 0: a clean image is no full error.
    """
    return smp.losses.DiceLoss(mode="multilabel", smooth=1.0)


def tversky_loss() -> Loss:
    """1 − (tp + 1) / (tp + 0.3 fp + 0.7 fn + 1), pooled and averaged as in :func:`dice_loss`."""
    return smp.losses.TverskyLoss(mode="multilabel", smooth=1.0, alpha=_TVERSKY_FP, beta=_TVERSKY_FN)


def focal_loss(logits: torch.Tensor, masks: torch.Tensor, gamma: float = 2.0) -> torch.Tensor:
    """Focal binary cross-entropy, mean over pixels and maps: (1 − p_t)^γ · BCE.

    T.-Y. Lin et al., Focal loss for dense object detection, ICCV 2017, without its α.
    """
    return smp.losses.FocalLoss(mode="multilabel", gamma=gamma)(logits, masks)


def lovasz_loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Lovász hinge, the convex surrogate of 1 − IoU, of each image and map; mean over them.

    M. Berman et al., The Lovász-Softmax loss, CVPR 2018, section 3.1.
    """
    hinge = smp.losses.LovaszLoss(mode="binary", per_image=True)
    return hinge(logits.flatten(0, 1), masks.flatten(0, 1))


def deeply_supervised(loss: Loss) -> Callable[[torch.Tensor | tuple[torch.Tensor, ...], torch.Tensor], torch.Tensor]:
    """``loss`` for networks with several outputs (B, C, H, W) in training, the final one first.

    The weights are 1, 1/2, 1/4, ..., divided by their sum (F. Isensee et al., nnU-Net, Nature Methods 2021); a single
    output has weight 1.
    """

    def total(outputs: torch.Tensor | tuple[torch.Tensor, ...], masks: torch.Tensor) -> torch.Tensor:
        if isinstance(outputs, torch.Tensor):
            return loss(outputs, masks)
        weights = [2.0**-level for level in range(len(outputs))]
        return sum(w * loss(output, masks) for w, output in zip(weights, outputs, strict=True)) / sum(weights)

    return total

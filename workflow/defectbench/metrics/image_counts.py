"""Counts of images, and the functions of them that trainings are followed by too.

Apart from the definitions of the metrics, so that no training becomes stale by a new one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from defectbench.metrics import counts


@dataclass(frozen=True)
class ImageCounts:
    """Pixels per image, each (N,) int64: true positives, false positives, false negatives, and all."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    n_pixels: np.ndarray

    @property
    def defective(self) -> np.ndarray:
        """Images with non-empty truth, (N,) bool."""
        return self.tp + self.fn > 0

    @property
    def flagged(self) -> np.ndarray:
        """Images with a non-empty prediction, (N,) bool."""
        return self.tp + self.fp > 0

    @property
    def totals(self) -> tuple[int, int, int]:
        """Sums of tp, fp and fn."""
        return int(self.tp.sum()), int(self.fp.sum()), int(self.fn.sum())

    def dice(self) -> np.ndarray:
        """Dice of each image, (N,)."""
        return counts.dice(self.tp, self.fp, self.fn)

    def iou(self) -> np.ndarray:
        """IoU of each image, (N,)."""
        return counts.iou(self.tp, self.fp, self.fn)


Function = Callable[[ImageCounts], float | None]


def dice_all(images: ImageCounts) -> float | None:
    """Dice of the masks; the primary metric of the automatic track, which clean images count in."""
    return mean_of(images.dice())


def mean_iou(images: ImageCounts) -> float | None:
    """Intersection over union of the masks."""
    return mean_of(images.iou()[images.defective])


def mean_dice(images: ImageCounts) -> float | None:
    """Dice of the masks; the primary metric of the oracle track."""
    return mean_of(images.dice()[images.defective])


def precision(images: ImageCounts) -> float | None:
    """Share of predicted pixels that are defective."""
    tp, fp, _ = images.totals
    return defined(counts.precision(tp, fp))


def recall(images: ImageCounts) -> float | None:
    """Share of defective pixels that are predicted."""
    tp, _, fn = images.totals
    return defined(counts.recall(tp, fn))


def image_accuracy(images: ImageCounts) -> float | None:
    """Share of images where "has a defect", at least one pixel, is predicted correctly."""
    return mean_of(images.defective == images.flagged)


def image_f1(images: ImageCounts) -> float | None:
    """F1 of the classification of images by "has a defect"."""
    truth, flagged = images.defective, images.flagged
    return defined(counts.f1((truth & flagged).sum(), (~truth & flagged).sum(), (truth & ~flagged).sum()))


def iou_at(percent: int) -> Function:
    """Share of defective images whose IoU is at least ``percent``/100."""

    def share(images: ImageCounts) -> float | None:
        tp, union = images.tp, images.tp + images.fp + images.fn
        # In whole numbers: an IoU of exactly 0.9 must count, whatever rounding does to it.
        return mean_of((100 * tp >= percent * union)[images.defective])

    share.__doc__ = f"Share of defective images whose IoU is at least {percent / 100:.2f}; the masks stay as they are."
    return share


def mean_of(values: np.ndarray) -> float | None:
    """Mean of ``values`` (N,); None if there are none."""
    return float(np.mean(values)) if len(values) else None


def defined(value: np.ndarray) -> float | None:
    """``value`` as a float; None if it is NaN."""
    return None if np.isnan(value) else float(value)

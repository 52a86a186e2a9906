"""Every metric that follows from the counts of images, by its full name.

Each takes the counts of N images, one class or the merged masks, and returns None where it is not defined.
*Macro* metrics average over images, *micro* metrics are ratios of totals. *Defective* = non-empty truth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from defectbench.metrics import counts
from defectbench.metrics.froc import FALSE_PER_IMAGE
from defectbench.metrics.hits import Hits

# Rises with any change of a definition: results of different versions are never put in one table.
METRIC_VERSION = 2


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


def dice_all(images: ImageCounts) -> float | None:
    """Macro: mean Dice over all images, both empty = 1, one empty = 0."""
    return _mean(images.dice())


def mean_iou(images: ImageCounts) -> float | None:
    """Macro: mean IoU over defective images."""
    return _mean(images.iou()[images.defective])


def mean_dice(images: ImageCounts) -> float | None:
    """Macro: mean Dice over defective images."""
    return _mean(images.dice()[images.defective])


def iou_dataset(images: ImageCounts) -> float | None:
    """Micro: tp/(tp+fp+fn) of the totals over all images; None if no pixel is true or predicted."""
    totals = images.totals
    return float(counts.iou(*totals)) if any(totals) else None


def precision(images: ImageCounts) -> float | None:
    """Micro: tp/(tp+fp) of the totals over all images; None if nothing is predicted."""
    tp, fp, _ = images.totals
    return _number(counts.precision(tp, fp))


def recall(images: ImageCounts) -> float | None:
    """Micro: tp/(tp+fn) of the totals over all images; None if no image is defective."""
    tp, _, fn = images.totals
    return _number(counts.recall(tp, fn))


def f1(images: ImageCounts) -> float | None:
    """Micro: 2tp/(2tp+fp+fn) of the totals over all images; None if no pixel is true or predicted."""
    return _number(counts.f1(*images.totals))


def iou_at(percent: int) -> Callable[[ImageCounts], float | None]:
    """Macro: the share of defective images whose IoU is at least ``percent``/100 (the masks stay as they are)."""

    def share(images: ImageCounts) -> float | None:
        tp, union = images.tp, images.tp + images.fp + images.fn
        # In whole numbers: an IoU of exactly 0.9 must count, whatever rounding does to it.
        return _mean((100 * tp >= percent * union)[images.defective])

    return share


def fp_image_rate(images: ImageCounts) -> float | None:
    """Macro: the share of clean images with any predicted pixel."""
    return _mean(images.flagged[~images.defective])


def fp_area_on_clean(images: ImageCounts) -> float | None:
    """Macro: mean, over clean images, of the share of the image that is predicted."""
    return _mean((images.fp / images.n_pixels)[~images.defective])


def image_accuracy(images: ImageCounts) -> float | None:
    """Share of images where 'has a defect' (at least one pixel) is predicted rightly."""
    return _mean(images.defective == images.flagged)


def image_f1(images: ImageCounts) -> float | None:
    """F1 over images of 'has a defect'; None if no image has one, true or predicted."""
    truth, flagged = images.defective, images.flagged
    return _number(counts.f1((truth & flagged).sum(), (~truth & flagged).sum(), (truth & ~flagged).sum()))


def miou_with_background(images: ImageCounts) -> float | None:
    """Micro: (IoU of defect + IoU of background)/2 of the totals; only to compare with papers that use it."""
    tp, fp, fn = images.totals
    background = int(images.n_pixels.sum()) - tp - fp - fn
    if tp + fp + fn == 0 or background + fp + fn == 0:
        return None
    return float(counts.iou(tp, fp, fn) + counts.iou(background, fp, fn)) / 2


def boundary_f1(edges: Hits) -> float | None:
    """Macro: mean boundary F1 over defective images, at a tolerance of 2 px; 0 if the prediction is empty.

    ``edges`` are the boundary pixels of N images and those within 2 px (Euclidean) of the other side's boundary; see
    :mod:`defectbench.metrics.boundary` for source and details.
    """
    return _mean(edges.score()[edges.truth > 0])


def cldice(lines: Hits) -> float | None:
    """Macro: mean centre-line Dice over defective images; 0 if the prediction is empty.

    ``lines`` are the skeleton pixels of N images and those inside the other side's mask: the harmonic mean of
    |S_P ∩ G|/|S_P| and |S_G ∩ P|/|S_G|; see :mod:`defectbench.metrics.centreline` for source and details.
    """
    return _mean(lines.score()[lines.truth > 0])


METRICS: dict[str, Callable[[ImageCounts], float | None]] = {
    "dice_all": dice_all,
    "mIoU": mean_iou,
    "Dice": mean_dice,
    "IoU@50": iou_at(50),
    "IoU@75": iou_at(75),
    "IoU@90": iou_at(90),
    "IoU@95": iou_at(95),
    "Precision": precision,
    "Recall": recall,
    "F1": f1,
    "iou_dataset": iou_dataset,
    "fp_image_rate": fp_image_rate,
    "fp_area_on_clean": fp_area_on_clean,
    "image_accuracy": image_accuracy,
    "image_F1": image_f1,
    "miou_with_background": miou_with_background,
}

KAGGLE = ("dice_kaggle", "dice_kaggle_gain", "dice_kaggle_skill")
# Of components, see defectbench.metrics.froc: the false components per image by the metric's name.
RECALL_AT_FP = {f"recall_at_fp_{at_most}": at_most for at_most in FALSE_PER_IMAGE}
# What a metric's name ends with: nothing (calibrated; p = 0.5 of zero-shot methods), at p = 0.5, with post-processing,
# and calibrated where the unsuffixed name is not.
SUFFIXES = ("", "_at_0.5", "_pp", "_calibrated")


def full_name(metric: str, role: str, suffix: str = "") -> str:
    """Name in metrics.json and the results: ``val_`` before every val metric, ``test_`` before mIoU and Dice only."""
    prefix = "val_" if role == "val" else "test_" if metric in ("mIoU", "Dice") else ""
    return f"{prefix}{metric}{suffix}"


def all_names(role: str, suffixes: Sequence[str] = SUFFIXES) -> list[str]:
    """Full names of all metrics of a role that go by policy."""
    metrics = (*METRICS, *KAGGLE, *RECALL_AT_FP, "boundary_f1", "cldice")
    return [full_name(metric, role, suffix) for suffix in suffixes for metric in metrics]


def dice_kaggle(classes: Sequence[ImageCounts]) -> dict[str, float | None]:
    """Mean Dice over image × class, both empty = 1, one empty = 0, and what it is worth.

    With d that score and e the score of an all-empty submission (the share of image × class with empty truth):
    ``dice_kaggle`` = d, ``dice_kaggle_gain`` = d - e, ``dice_kaggle_skill`` = (d - e)/(1 - e). The score is that of
    Kaggle's Severstal competition. With no classes (a merged model) all three are None.
    """
    if not classes:
        return dict.fromkeys(KAGGLE)
    d = _mean(np.concatenate([images.dice() for images in classes]))
    e = _mean(np.concatenate([~images.defective for images in classes]))
    return dict(zip(KAGGLE, (d, d - e, (d - e) / (1 - e) if e < 1 else None), strict=True))


def _mean(values: np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _number(value: np.ndarray) -> float | None:
    return None if np.isnan(value) else float(value)

"""Objectives of thresholds and post-processing, from counts of pixels."""

from dataclasses import dataclass

import numpy as np

from defectbench.metrics import counts
from defectbench.metrics.codes import N_BINS

HALF_K = N_BINS // 2


@dataclass(frozen=True)
class Objective:
    """What calibration maximises on val images.

    - ``dice_all``: mean Dice over all images, both empty = 1.
    - ``f1``: 2tp/(2tp+fp+fn) of the totals; NaN if no image is defective.
    - ``youden``: recall + specificity - 1 of the totals (W. J. Youden, Cancer 3, 1950); NaN without pixels of both
      kinds.
    - ``recall_at_least``: where the recall of the totals is at least ``recall``, the share of pixels that are not
      predicted, so that the highest threshold is best; elsewhere recall - ``recall``, below 0, so that the highest
      recall is best where none suffices. NaN if no image is defective.
    """

    name: str
    recall: float | None = None
    """of ``recall_at_least`` alone"""

    def __call__(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, n_pixels: np.ndarray) -> np.ndarray:
        """The objective, (...), of counts (N, ...) of N images with ``n_pixels`` (N,) pixels."""
        return self.of_sums(self.terms(tp, fp, fn, n_pixels).sum(axis=1))

    def terms(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, n_pixels: np.ndarray) -> np.ndarray:
        """Numbers of each image whose sums over images give the objective, (T, N, ...)."""
        if self.name == "dice_all":
            dice = counts.dice(tp, fp, fn)
            return np.stack([dice, np.ones_like(dice)])
        pixels = np.reshape(n_pixels, (-1, *[1] * (np.ndim(tp) - 1)))
        return np.stack(np.broadcast_arrays(tp, fp, fn, pixels))

    def of_sums(self, sums: np.ndarray) -> np.ndarray:
        """The objective, (...), of sums (T, ...) of :meth:`terms`."""
        if self.name == "dice_all":
            total, n_images = sums
            return total / n_images
        tp, fp, fn, n_pixels = sums
        if self.name == "f1":
            return np.where(tp + fn > 0, counts.f1(tp, fp, fn), np.nan)
        recall = counts.recall(tp, fn)
        if self.name == "youden":
            return recall + counts.recall(n_pixels - tp - fp - fn, fp) - 1
        return np.where(recall >= self.recall, 1 - (tp + fp) / n_pixels, recall - self.recall)

    def best_candidate(self, curve: np.ndarray) -> int:
        """The k with the highest value of ``curve`` (255,); 128 if no value is defined.

        Of equals the nearest to 128, by ``recall_at_least`` the highest.
        """
        if np.isnan(curve).all():
            return HALF_K
        best = np.flatnonzero(curve == np.nanmax(curve)) + 1
        return int(best[-1] if self.name == "recall_at_least" else best[np.argmin(np.abs(best - HALF_K))])

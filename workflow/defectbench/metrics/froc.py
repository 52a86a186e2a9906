"""FROC: recall of components against the number of false ones per image.

The free-response operating characteristic (Bunch et al., Proc. SPIE 127, 1977; recall at fixed numbers of false
positives per image as in LUNA16, Setio et al., Medical Image Analysis 42, 2017).
"""

from typing import NamedTuple

import numpy as np

FALSE_PER_IMAGE = (0.5, 1, 2)


class Froc(NamedTuple):
    """Curve with an entry per distinct score, from the highest down: a cut there keeps all scores from it on."""

    score: np.ndarray
    """(K,), as the components' scores"""
    false: np.ndarray
    """(K,) int64: components that match no true one, in all images"""
    recall: np.ndarray
    """(K,) float64: share of true components found"""


def froc(scores: np.ndarray, hit: np.ndarray, n_truth: int) -> Froc:
    """Curve of all predicted components of all images: ``scores`` (N,), ``hit`` (N,) bool, ``n_truth`` > 0."""
    order = np.argsort(scores, kind="stable")[::-1]
    scores, hit = scores[order], hit[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.zeros(0, np.intp)
    return Froc(scores[last], np.cumsum(~hit)[last], np.cumsum(hit)[last] / n_truth)


def recall_at_fp(scores: np.ndarray, hit: np.ndarray, n_truth: int, n_images: int, at_most: float) -> float | None:
    """Recall at the cut that keeps the most components with at most ``at_most`` false ones per image.

    ``scores`` (N,) and ``hit`` (N,) bool belong to the predicted components of all ``n_images`` images, clean ones
    included. 0 if even the highest score brings too many; None if no component is true (``n_truth`` = 0).
    """
    if n_truth == 0:
        return None
    curve = froc(scores, hit, n_truth)
    allowed = np.count_nonzero(curve.false <= at_most * n_images)
    return float(curve.recall[allowed - 1]) if allowed else 0.0

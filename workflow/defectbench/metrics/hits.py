"""Hits: points of each side in the target of the other, the common form of boundary F1 and centre-line Dice."""

from typing import Generic, NamedTuple, TypeVar

import numpy as np

Number = TypeVar("Number", bound=np.ndarray | int)


class Hits(NamedTuple, Generic[Number]):
    """Numbers of points (pixels) of N images, each (N,), or of one image as int."""

    pred: Number
    """points of the prediction"""
    pred_hit: Number
    """points of the prediction that hit the truth"""
    truth: Number
    truth_hit: Number

    def score(self) -> np.ndarray:
        """Harmonic mean of pred_hit/pred and truth_hit/truth, in [0, 1].

        0 where the prediction has no points or nothing hits; NaN where the truth has no points.
        """
        pred, pred_hit, truth, truth_hit = (np.asarray(n, dtype=np.float64) for n in self)
        # 2PR/(P + R) with P = pred_hit/pred and R = truth_hit/truth, free of divisions by 0.
        denominator = pred_hit * truth + truth_hit * pred
        score = np.divide(2 * pred_hit * truth_hit, denominator, out=np.zeros_like(denominator), where=denominator > 0)
        return np.where(truth > 0, score, np.nan)


def count_hits(pred: np.ndarray, pred_target: np.ndarray, truth: np.ndarray, truth_target: np.ndarray) -> Hits[int]:
    """Count the points of a prediction and of a truth, and how many of each are in their target.

    All are (H, W) bool. ``pred_target`` is derived from the truth, ``truth_target`` from the prediction.
    """
    return Hits(
        int(np.count_nonzero(pred)),
        int(np.count_nonzero(pred & pred_target)),
        int(np.count_nonzero(truth)),
        int(np.count_nonzero(truth & truth_target)),
    )

"""True and false pixels of masks, and the ratios of them, with the rule for empty masks explicit in each."""

import numpy as np


def confusion(truth: np.ndarray, prediction: np.ndarray) -> tuple[int, int, int]:
    """Count true positives, false positives and false negatives of two masks.

    ``truth`` and ``prediction`` have one shape and are bool or 0/1; the counts are pixels.
    """
    truth, prediction = truth.astype(bool, copy=False), prediction.astype(bool, copy=False)
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction {prediction.shape}")
    tp = np.count_nonzero(truth & prediction)
    return tp, np.count_nonzero(prediction) - tp, np.count_nonzero(truth) - tp


def iou(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Intersection over union, tp/(tp+fp+fn), in [0, 1]; 1 where truth and prediction are both empty."""
    return _ratio(tp, np.add(tp, fp) + fn, empty=1.0)


def dice(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Dice coefficient, 2tp/(2tp+fp+fn), in [0, 1]; 1 where both are empty, hence 0 where one is."""
    return _ratio(np.multiply(2, tp), np.multiply(2, tp) + fp + fn, empty=1.0)


def precision(tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    """tp/(tp+fp) in [0, 1]; NaN where nothing is predicted."""
    return _ratio(tp, np.add(tp, fp), empty=np.nan)


def recall(tp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """tp/(tp+fn) in [0, 1]; NaN where the truth is empty."""
    return _ratio(tp, np.add(tp, fn), empty=np.nan)


def f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """2tp/(2tp+fp+fn) in [0, 1], of totals; NaN (unlike :func:`dice`) where both are empty."""
    return _ratio(np.multiply(2, tp), np.multiply(2, tp) + fp + fn, empty=np.nan)


def _ratio(numerator: np.ndarray, denominator: np.ndarray, empty: float) -> np.ndarray:
    """Divide elementwise; ``empty`` where the denominator is 0."""
    denominator = np.asarray(denominator, dtype=np.float64)
    return np.divide(numerator, denominator, out=np.full(denominator.shape, empty), where=denominator > 0)

"""Counts of true and false pixels, and their ratios, each with its rule for empty masks."""

import numpy as np

Counts = np.ndarray | int


def confusion(truth: np.ndarray, prediction: np.ndarray) -> tuple[int, int, int]:
    """Count true positives, false positives and false negatives of two masks.

    ``truth`` and ``prediction`` have one shape and are bool or 0/1; the counts are pixels.
    """
    truth, prediction = truth.astype(bool, copy=False), prediction.astype(bool, copy=False)
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction {prediction.shape}")
    tp = int(np.count_nonzero(truth & prediction))
    return tp, int(np.count_nonzero(prediction)) - tp, int(np.count_nonzero(truth)) - tp


def iou(tp: Counts, fp: Counts, fn: Counts) -> np.ndarray:
    """Intersection over union, tp/(tp+fp+fn), in [0, 1]; 1 where truth and prediction are both empty."""
    return _ratio(tp, np.add(tp, fp) + fn, empty=1.0)


def dice(tp: Counts, fp: Counts, fn: Counts) -> np.ndarray:
    """Dice coefficient, 2tp/(2tp+fp+fn), in [0, 1]; 1 where both are empty, hence 0 where one is."""
    return _ratio(np.multiply(2, tp), np.multiply(2, tp) + fp + fn, empty=1.0)


def precision(tp: Counts, fp: Counts) -> np.ndarray:
    """tp/(tp+fp) in [0, 1]; NaN where nothing is predicted."""
    return _ratio(tp, np.add(tp, fp), empty=np.nan)


def recall(tp: Counts, fn: Counts) -> np.ndarray:
    """tp/(tp+fn) in [0, 1]; NaN where the truth is empty."""
    return _ratio(tp, np.add(tp, fn), empty=np.nan)


def f1(tp: Counts, fp: Counts, fn: Counts) -> np.ndarray:
    """2tp/(2tp+fp+fn) in [0, 1], of totals; NaN (unlike :func:`dice`) where both are empty."""
    return _ratio(np.multiply(2, tp), np.multiply(2, tp) + fp + fn, empty=np.nan)


def _ratio(numerator: Counts, denominator: Counts, empty: float) -> np.ndarray:
    """Divide elementwise; ``empty`` where the denominator is 0."""
    divisor = np.asarray(denominator, dtype=np.float64)
    return np.divide(numerator, divisor, out=np.full(divisor.shape, empty), where=divisor > 0)

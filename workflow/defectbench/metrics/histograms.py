"""Histograms of codes, split by truth: counts at every threshold and average precision, without the maps.

A histogram has shape (2, bins): row 0 counts the pixels whose truth is negative, row 1 those that are positive.
"""

import numpy as np

from defectbench.metrics.codes import N_CODES, THRESHOLD_CODES, count_codes

_PIXELS_AT_ONCE = 2**24
_FIRST_CODE_OF_BIN = np.concatenate([[0], THRESHOLD_CODES]).astype(np.intp)


def full_histogram(codes: np.ndarray, truth: np.ndarray, n_ignored: int = 0) -> np.ndarray:
    """Histogram (2, 65536) of a uint16 map against ``truth``, bool or 0/1 of the same shape.

    ``n_ignored`` of the pixels with code 0 and no truth are not counted. int32, faster by half the memory: to pool
    maps, add them to int64.
    """
    flat, positive = codes.ravel(), truth.ravel()
    histogram = np.zeros((2, N_CODES), np.int32)
    # In parts: bincount makes an int64 of every true pixel.
    for first in range(0, flat.size, _PIXELS_AT_ONCE):
        part = slice(first, first + _PIXELS_AT_ONCE)
        histogram[1] += np.bincount(flat[part][positive[part].astype(bool, copy=False)], minlength=N_CODES)
    histogram[0] = count_codes(codes) - histogram[1]
    histogram[0, 0] -= n_ignored
    return histogram


def coarsen(full: np.ndarray) -> np.ndarray:
    """Sum histograms (..., 65536) into the 256 threshold bins, BIN_OF_CODE of :mod:`defectbench.metrics.codes`."""
    return np.add.reduceat(full, _FIRST_CODE_OF_BIN, axis=-1, dtype=full.dtype)


def joint_histogram(codes: np.ndarray, truth: np.ndarray, n_ignored: int = 0) -> np.ndarray:
    """Histogram (2, 256), int32, over the threshold bins, of a uint16 map; see :func:`full_histogram`."""
    return coarsen(full_histogram(codes, truth, n_ignored))


def sweep(histogram: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts tp, fp, fn, each (..., 255), at the thresholds k = 1 ... 255 of histograms (..., 2, 256).

    Entry k - 1 counts a pixel as predicted if its code is at least ``threshold_code(k)``.
    """
    at_least = np.flip(np.cumsum(np.flip(histogram, axis=-1), axis=-1), axis=-1)
    fp, tp = at_least[..., 0, 1:], at_least[..., 1, 1:]
    return tp, fp, at_least[..., 1, :1] - tp


def average_precision(histogram: np.ndarray) -> float | None:
    """Average precision over all pixels of a histogram (2, K) of ascending codes; None if no pixel is positive.

    AP = Σ (R_n - R_{n-1}) P_n over the distinct codes from the highest down, without interpolation: the definition
    of scikit-learn's ``average_precision_score``.
    """
    if not histogram[1].any():
        return None
    negative, positive = histogram[:, ::-1]
    tp = np.cumsum(positive)
    reached = positive > 0
    precision = tp[reached] / (tp + np.cumsum(negative))[reached]
    return float(precision @ positive[reached] / tp[-1])

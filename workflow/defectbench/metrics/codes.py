"""Logits as 16-bit codes: the one number format of stored score maps.

``code = clip(round(32768 + 512 · logit), 0, 65535)`` covers logits of ±64 in steps of 1/512, so that even
overconfident networks keep their ranking (8-bit probabilities do not). p ≥ 0.5 ⇔ code ≥ 32768.
"""

import cv2
import numpy as np

HALF = 32768
STEPS_PER_LOGIT = 512
N_BINS = 256
N_CODES = 65536
_EXACT = 2**24
"""Up to this number, the float32 counts of OpenCV are exact."""


def codes_from_logits(logits: np.ndarray) -> np.ndarray:
    """Codes (uint16, same shape) of finite float ``logits``.

    Raises:
        ValueError: if a logit is NaN; a map with holes is no prediction.
    """
    if np.isnan(logits).any():
        raise ValueError("the map of logits holds NaN")
    scaled = np.rint(np.asarray(logits, dtype=np.float64) * STEPS_PER_LOGIT + HALF)
    return np.clip(scaled, 0, 65535).astype(np.uint16)


def codes_from_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Codes (uint16) of ``probabilities`` in [0, 1]; 0 and 1 become the outermost codes."""
    p = np.asarray(probabilities, dtype=np.float64)
    if np.isnan(p).any() or p.min(initial=0.5) < 0 or p.max(initial=0.5) > 1:
        raise ValueError("probabilities must be in [0, 1]")
    with np.errstate(divide="ignore"):
        return codes_from_logits(np.log(p) - np.log1p(-p))


def align_half(codes: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """``codes`` (uint16) that are at least HALF exactly where ``positive``, a bool array of the same shape, is true.

    Neither rounding nor interpolation of scores moves the edge of a mask that is known.
    """
    return np.where(positive, np.maximum(codes, HALF), np.minimum(codes, HALF - 1))


def count_codes(codes: np.ndarray) -> np.ndarray:
    """How often each code occurs in ``codes``, uint16 of any shape; (65536,) int64."""
    flat, counts = codes.ravel(), np.zeros(N_CODES, np.int64)
    for first in range(0, flat.size, _EXACT):
        # Half the time of bincount, if it is one row: for several it uses threads, which each fill all bins.
        row = flat[None, first : first + _EXACT]
        counts += cv2.calcHist([row], [0], None, [N_CODES], [0, N_CODES]).ravel().astype(np.int64)
    return counts


def probabilities_from_codes(codes: np.ndarray) -> np.ndarray:
    """Probabilities (float64) in (0, 1) of ``codes``."""
    return 1 / (1 + np.exp((HALF - np.asarray(codes, dtype=np.float64)) / STEPS_PER_LOGIT))


def threshold_code(k: int) -> int:
    """Smallest code that counts as positive at the candidate threshold p = k/256, for k = 1 ... 255."""
    if not 1 <= k <= N_BINS - 1:
        raise ValueError(f"thresholds are k/256 with k = 1 ... 255, got k = {k}")
    return int(codes_from_probabilities(np.array(k / N_BINS)))


THRESHOLD_CODES = np.array([threshold_code(k) for k in range(1, N_BINS)], dtype=np.uint16)

# BIN_OF_CODE[code] is the number of candidate thresholds that the code reaches, so code ≥ threshold_code(k)
# ⇔ BIN_OF_CODE[code] ≥ k, exactly.
BIN_OF_CODE = np.searchsorted(THRESHOLD_CODES, np.arange(65536, dtype=np.uint16), side="right").astype(np.uint8)

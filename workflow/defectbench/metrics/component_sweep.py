"""Components of a map at a grid of thresholds, cut by their score: FROC by sweeping both.

The free-response operating characteristic (Bunch et al., Proc. SPIE 127, 1977; recall at fixed numbers of false
positives per image as in LUNA16, Setio et al., Medical Image Analysis 42, 2017). A threshold alone is no good detector:
a high one makes components too small to match. With a lower one, and a higher cut of their scores, it is hysteresis.
"""

import numpy as np

from defectbench.metrics.codes import STEPS_PER_LOGIT, codes_from_logits
from defectbench.metrics.components import Components, find_components, highest_codes, match_components

THRESHOLDS = (-6, -5, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 14, 20)
"""T logits from which pixels belong to components; p = 0.0025 and up, beyond 1 - 1e-8 for overconfident networks."""
_STEP = 0.125
CUTS = np.arange(-6, 20.01, _STEP)
"""S logits that scores are cut at, among them all of THRESHOLDS."""
_CODES_PER_LEVEL = np.uint16(_STEP * STEPS_PER_LOGIT)
_FIRST_CODE = codes_from_logits(CUTS)[0]
_LEVELS_OF_THRESHOLDS = (np.searchsorted(CUTS, THRESHOLDS) + 1).astype(np.uint8)


def sweep_components(codes: np.ndarray, truth: Components, min_iou: float) -> tuple[np.ndarray, np.ndarray]:
    """Count the components of a map at THRESHOLDS by their score: predicted and found ones, both (T, S) int64.

    Entry [t, s] counts the 8-connected components of ``codes`` (H, W) uint16 at threshold t whose highest code reaches
    cut s, but not s + 1. They are found if they match a true one: pairs one to one, by descending score, then IoU, from
    ``min_iou`` on.
    """
    predicted, found = np.zeros((2, len(THRESHOLDS), len(CUTS)), np.int64)
    levels = _levels(codes)
    for t, level in enumerate(_LEVELS_OF_THRESHOLDS):
        above = find_components(levels >= level)
        if not len(above):
            break
        scores = highest_codes(above, levels)
        matched, _ = match_components(above, truth, scores, min_iou)
        predicted[t] = np.bincount(scores - 1, minlength=len(CUTS))
        found[t] = np.bincount(scores[matched >= 0] - 1, minlength=len(CUTS))
    return predicted, found


def _levels(codes: np.ndarray) -> np.ndarray:
    """Number of cuts that each of ``codes`` (uint16) reaches, uint8 of the same shape."""
    # In place, and without a table: NumPy would make an int64 index of every pixel.
    levels = np.maximum(codes, _FIRST_CODE - _CODES_PER_LEVEL)
    levels -= _FIRST_CODE - _CODES_PER_LEVEL
    levels //= _CODES_PER_LEVEL
    return np.minimum(levels, len(CUTS), out=levels).astype(np.uint8)


def recall_at_fp(predicted: np.ndarray, found: np.ndarray, n_truth: int, n_images: int, at_most: float) -> float | None:
    """Highest recall of all thresholds and cuts that leave at most ``at_most`` false components per image.

    ``predicted`` and ``found`` (T, S) are the sums of :func:`sweep_components` over all ``n_images`` images, clean ones
    included, ``n_truth`` that of the true components. 0 if all leave too many; None if no component is true.
    """
    if n_truth == 0:
        return None
    kept, hits = (np.cumsum(counted[:, ::-1], axis=1) for counted in (predicted, found))
    allowed = kept - hits <= at_most * n_images
    return float(hits[allowed].max(initial=0) / n_truth)

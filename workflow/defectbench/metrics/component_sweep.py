"""Components of a map at a grid of thresholds, and recall at fixed numbers of false ones: FROC by sweeping.

The free-response operating characteristic (Bunch et al., Proc. SPIE 127, 1977; recall at fixed numbers of false
positives per image as in LUNA16, Setio et al., Medical Image Analysis 42, 2017).
"""

import cv2
import numpy as np

from defectbench.metrics.codes import threshold_code
from defectbench.metrics.components import Components

# p = k/256: dense at both ends, where maps of confident networks change.
SWEPT_K = (1, 2, 4, 8, 16, 32, 64, 96, 128, 160, 192, 224, 240, 248, 252, 254, 255)
_CUTS = [threshold_code(k) for k in SWEPT_K]


def sweep_components(codes: np.ndarray, truth: Components, min_iou: float) -> tuple[np.ndarray, np.ndarray]:
    """Count predicted and found components at each threshold of SWEPT_K, both (K,) int32.

    The predicted components are those of ``codes`` (H, W) uint16 ≥ the threshold, 8-connected. True ones are found if
    a predicted one overlaps them with an IoU of at least ``min_iou``, paired one to one by descending IoU; predicted
    ones without a pair are false.
    """
    predicted, found = np.zeros((2, len(_CUTS)), np.int32)
    flat, inside = codes.ravel(), np.flatnonzero(truth.labels)
    true = truth.labels.ravel()[inside] - 1
    pixels = np.flatnonzero(flat >= _CUTS[0])
    for i, cut in enumerate(_CUTS):
        pixels = pixels[flat[pixels] >= cut]
        if not len(pixels):
            break
        n, labels = cv2.connectedComponents((codes >= cut).view(np.uint8), connectivity=8)
        predicted[i] = n - 1
        if len(truth):
            # The same areas from connectedComponentsWithStats take ten times as long.
            areas = np.bincount(labels.ravel()[pixels], minlength=n)
            found[i] = _count_pairs(labels.ravel()[inside], true, areas, truth.areas, min_iou)
    return predicted, found


def _count_pairs(
    predicted: np.ndarray, true: np.ndarray, predicted_areas: np.ndarray, true_areas: np.ndarray, min_iou: float
) -> int:
    """Number of pairs, from the predicted label (0: none) and the true index of every true pixel, both (n,)."""
    overlaps = predicted > 0
    keys = predicted[overlaps].astype(np.int64) * len(true_areas) + true[overlaps]
    keys, shared = np.unique(keys, return_counts=True)
    p, t = np.divmod(keys, len(true_areas))
    iou = shared / (predicted_areas[p] + true_areas[t] - shared)
    matching = iou >= min_iou
    p, t, iou = p[matching], t[matching], iou[matching]
    taken_p, taken_t = set(), set()
    for pair in np.lexsort((t, p, -iou)):
        if p[pair] not in taken_p and t[pair] not in taken_t:
            taken_p.add(p[pair])
            taken_t.add(t[pair])
    return len(taken_t)


def recall_at_fp(predicted: np.ndarray, found: np.ndarray, n_truth: int, n_images: int, at_most: float) -> float | None:
    """Highest recall of the thresholds that leave at most ``at_most`` false components per image.

    ``predicted`` and ``found`` (K,) are the sums of :func:`sweep_components` over all ``n_images`` images, clean ones
    included, ``n_truth`` that of the true components. 0 if every threshold leaves too many; None if no component is
    true.
    """
    if n_truth == 0:
        return None
    allowed = predicted - found <= at_most * n_images
    return float(found[allowed].max(initial=0) / n_truth)

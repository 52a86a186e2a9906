"""Components of a map at a grid of thresholds, cut by their score: FROC by sweeping both.

The free-response operating characteristic (Bunch et al., Proc. SPIE 127, 1977; recall at fixed numbers of false
positives per image as in LUNA16, Setio et al., Medical Image Analysis 42, 2017). A threshold alone is no good detector:
a high one makes components too small to match. With a lower one, and a higher cut of their scores, it is hysteresis.
"""

import cv2
import numpy as np

from defectbench.metrics.codes import codes_from_logits
from defectbench.metrics.components import Components

THRESHOLDS = (-6, -5, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 14, 20)
"""T logits from which pixels belong to components; p = 0.0025 and up, beyond 1 - 1e-8 for overconfident networks."""
CUTS = np.arange(-6, 20.01, 0.125)
"""S logits that scores are cut at, among them all of THRESHOLDS."""
# Number of cuts that a code reaches.
_LEVEL_OF_CODE = np.searchsorted(codes_from_logits(CUTS), np.arange(65536), side="right").astype(np.uint8)
_LEVELS = np.searchsorted(CUTS, THRESHOLDS) + 1


def sweep_components(codes: np.ndarray, truth: Components, min_iou: float) -> tuple[np.ndarray, np.ndarray]:
    """Count the components of a map at THRESHOLDS by their score: predicted and found ones, both (T, S) int64.

    Entry [t, s] counts the 8-connected components of ``codes`` (H, W) uint16 at threshold t whose highest code reaches
    cut s, but not s + 1. They are found if they match a true one: pairs one to one, by descending score, then IoU, from
    ``min_iou`` on.
    """
    predicted, found = np.zeros((2, len(THRESHOLDS), len(CUTS)), np.int64)
    levels = _LEVEL_OF_CODE[codes]
    flat, inside = levels.ravel(), np.flatnonzero(truth.labels)
    true = truth.labels.ravel()[inside] - 1
    pixels = np.flatnonzero(flat)
    # Ascending, so that those above a threshold are the end of the list, and the last of a component has its score.
    pixels = pixels[np.argsort(flat[pixels], kind="stable")]
    starts = np.searchsorted(flat[pixels], _LEVELS)
    for t, (level, start) in enumerate(zip(_LEVELS, starts, strict=True)):
        above = pixels[start:]
        if not len(above):
            break
        n, labels = cv2.connectedComponents((levels >= level).view(np.uint8), connectivity=8)
        labels = labels.ravel()
        scores = np.zeros(n, np.intp)
        scores[labels[above]] = flat[above]
        predicted[t] = np.bincount(scores[1:] - 1, minlength=len(CUTS))
        if len(truth):
            # The same areas from connectedComponentsWithStats take ten times as long.
            areas = np.bincount(labels[above], minlength=n)
            matched = _match(labels[inside], true, areas, truth.areas, scores, min_iou)
            found[t] = np.bincount(scores[matched] - 1, minlength=len(CUTS))
    return predicted, found


def _match(
    predicted: np.ndarray,
    true: np.ndarray,
    predicted_areas: np.ndarray,
    true_areas: np.ndarray,
    scores: np.ndarray,
    min_iou: float,
) -> list[int]:
    """Labels of the matched components, from the predicted label (0: none) and true index of all true pixels, (n,)."""
    overlaps = predicted > 0
    keys = predicted[overlaps].astype(np.int64) * len(true_areas) + true[overlaps]
    keys, shared = np.unique(keys, return_counts=True)
    p, t = np.divmod(keys, len(true_areas))
    iou = shared / (predicted_areas[p] + true_areas[t] - shared)
    matching = iou >= min_iou
    p, t, iou = p[matching], t[matching], iou[matching]
    pairs: dict[int, int] = {}
    for pair in np.lexsort((t, p, -iou, -scores[p])):
        if p[pair] not in pairs and t[pair] not in pairs.values():
            pairs[p[pair]] = t[pair]
    return list(pairs)


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

"""Connected components of masks: scores, matching of predicted and true ones, and clusters."""

from dataclasses import dataclass

import cv2
import numpy as np

from defectbench.metrics.boundary import TOLERANCE, disc

_GROW = disc(TOLERANCE)


@dataclass(frozen=True)
class Components:
    """The 8-connected components of a mask, N of them, numbered roughly from the top down."""

    labels: np.ndarray
    """(H, W) int32: 0 outside, i + 1 in component i"""
    areas: np.ndarray
    """(N,) int32, pixels"""
    boxes: np.ndarray
    """(N, 4) int32: x, y, width, height"""

    def __len__(self) -> int:
        """N."""
        return len(self.areas)


def find_components(mask: np.ndarray) -> Components:
    """Find the 8-connected components of ``mask``, (H, W) bool."""
    pixels = mask.view(np.uint8)
    x, y, width, height = cv2.boundingRect(pixels)
    box = slice(y, y + height), slice(x, x + width)
    labels = np.zeros(mask.shape, dtype=np.int32)
    if width == 0:
        return Components(labels, np.zeros(0, np.int32), np.zeros((0, 4), np.int32))
    _, labels[box], stats, _ = cv2.connectedComponentsWithStats(pixels[box], connectivity=8, ltype=cv2.CV_32S)
    boxes = stats[1:, : cv2.CC_STAT_AREA] + np.array([x, y, 0, 0], np.int32)
    return Components(labels, stats[1:, cv2.CC_STAT_AREA], boxes)


def highest_codes(components: Components, codes: np.ndarray) -> np.ndarray:
    """Score of each component, (N,) uint16: the highest of ``codes``, (H, W) uint16, inside it."""
    highest = np.zeros(len(components), dtype=np.uint16)
    if not len(components):
        return highest
    inside = components.labels > 0
    np.maximum.at(highest, components.labels[inside] - 1, codes[inside])
    return highest


def match_components(
    predicted: Components, true: Components, scores: np.ndarray, min_iou: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pair predicted with true components, one to one, greedily by descending score of the predicted ones.

    Each predicted component in turn takes the free true component with the highest IoU, if that is at least
    ``min_iou``; of equal scores (N,) the higher IoU goes first. Cutting the scores at any value leaves the pairs above
    the cut as they are.

    Returns:
        For each predicted component the index of its true one, (N,) int32, -1 where it has none; and the IoU of the
        pair, (N,) float64, NaN where there is none.
    """
    matched, ious = np.full(len(predicted), -1, np.int32), np.full(len(predicted), np.nan)
    if not (len(predicted) and len(true)):
        return matched, ious
    p, t, iou = _overlapping(predicted, true)
    matching = iou >= min_iou
    p, t, iou = p[matching], t[matching], iou[matching]
    taken = np.zeros(len(true), dtype=bool)
    for pair in np.lexsort((t, p, -iou, -scores[p].astype(np.int64))):
        if matched[p[pair]] < 0 and not taken[t[pair]]:
            matched[p[pair]], ious[p[pair]] = t[pair], iou[pair]
            taken[t[pair]] = True
    return matched, ious


def assign_clusters(mask: np.ndarray, components: Components) -> np.ndarray:
    """Number of the cluster of each of the ``components`` of ``mask``, (H, W) bool: (N,) int32.

    Components belong to one cluster if they meet when all grow by 2 px, the tolerance of boundaries: annotators and
    networks break a crack there at random, so its pieces cannot be counted one by one.
    """
    _, labels = cv2.connectedComponents(cv2.dilate(mask.view(np.uint8), _GROW), connectivity=8)
    inside = components.labels > 0
    cluster = np.zeros(len(components), dtype=np.int32)
    cluster[components.labels[inside] - 1] = labels[inside] - 1
    return cluster


def _overlapping(predicted: Components, true: Components) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of predicted and true components that share pixels, and their IoU."""
    both = (predicted.labels > 0) & (true.labels > 0)
    pairs = (predicted.labels[both].astype(np.int64) - 1) * len(true) + (true.labels[both] - 1)
    pairs, shared = np.unique(pairs, return_counts=True)
    p, t = np.divmod(pairs, len(true))
    return p, t, shared / (predicted.areas[p].astype(np.int64) + true.areas[t] - shared)

"""Overlap of boxes."""

import numpy as np


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU (N, M) of ``boxes`` (N, 4) and ``others`` (M, 4), corners x0, y0, x1, y1."""
    first = np.maximum(boxes[:, None, :2], others[None, :, :2])
    last = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(last - first, 0, None).prod(axis=2)
    areas = [(corners[:, 2:] - corners[:, :2]).prod(axis=1) for corners in (boxes, others)]
    return shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1e-9)

"""Overlap of boxes."""

import cv2
import numpy as np
from scipy.ndimage import map_coordinates


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU (N, M) of ``boxes`` (N, 4) and ``others`` (M, 4), corners x0, y0, x1, y1."""
    first = np.maximum(boxes[:, None, :2], others[None, :, :2])
    last = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(last - first, 0, None).prod(axis=2)
    areas = [(corners[:, 2:] - corners[:, :2]).prod(axis=1) for corners in (boxes, others)]
    return shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1e-9)


def area_shares(boxes: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Share (N,) of the area of each of ``boxes`` (N, 4), corners x0, y0, x1, y1, that ``mask`` (H, W) bool covers.

    Exact for corners between pixels: the integral of a mask is linear there. What is outside of the image is not
    counted; a box without area has the share 0.
    """
    height, width = mask.shape
    x0, y0, x1, y1 = boxes.clip(0, [width, height, width, height]).T
    integral = cv2.integral(mask.view(np.uint8)).astype(np.float64)
    places = np.stack([[y1, y0, y1, y0], [x1, x1, x0, x0]])
    outer, above, left, both = map_coordinates(integral, places, order=1)
    shares = (outer - above - left + both) / np.maximum((x1 - x0) * (y1 - y0), 1e-9)
    return shares.clip(0, 1)  # of slivers at the edge, sums are rounded by more than their area

"""Polygons of masks, for label formats without masks.

Ultralytics cuts coordinates to whole pixels and fills with ``cv2.fillPoly``, edge included; others test whether
the centre of a pixel is inside. Outlines through the centres of the outermost pixels suit the first alone, and give a
crack one pixel wide a box without area, which ultralytics drops; outlines along the pixels' edges suit the second
alone. These run a sixth of a pixel inside the edges, and both recover the exact mask.
"""

from collections import defaultdict

import cv2
import numpy as np

_FINE = 3
"""Sub-pixels per pixel: an outline through the centres of the outermost is 1/6 pixel inside the edge."""


def trace_contours(mask: np.ndarray) -> list[np.ndarray]:
    """Outlines of ``mask``, (H, W) uint8, non-zero = defect: per 8-connected part a polygon, (N, 2) float64, N >= 4.

    Coordinates are (x, y) in pixels from the image's upper left corner, so pixel (0, 0) spans 0 ... 1. A hole is
    joined to the outline by a cut of no width.
    """
    left, top, width, height = cv2.boundingRect(mask)
    if not width:
        return []
    fine = mask[top : top + height, left : left + width].repeat(_FINE, axis=0).repeat(_FINE, axis=1)
    rings, hierarchy = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts, holes = {}, defaultdict(list)
    for index, (ring, parent) in enumerate(zip(rings, hierarchy[0, :, 3].tolist(), strict=True)):
        if parent < 0:
            parts[index] = _square(ring[:, 0], fine)
        else:
            holes[parent].append(_square(ring[:, 0], fine))
    polygons = [_corners(_join(outer, holes[index], fine)) for index, outer in parts.items()]
    return [(polygon + 0.5) / _FINE + (left, top) for polygon in polygons]


def _square(ring: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """``ring``, (N, 2), with the inner corners that OpenCV cuts off.

    Ultralytics inserts points between these: on a cut corner they may fall outside the part. A slanted step remains
    only where two pixels touch at their corners.
    """
    x, y = ring.T
    next_x, next_y = np.roll(ring, -1, axis=0).T
    corner = np.where(fine[next_y, x], (x, next_y), np.where(fine[y, next_x], (next_x, y), (x, y))).T
    ring = np.stack([ring, corner], axis=1).reshape(-1, 2)
    return ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]


def _join(outer: np.ndarray, holes: list[np.ndarray], fine: np.ndarray) -> np.ndarray:
    """One ring of ``outer`` and ``holes``, each (N, 2) whole sub-pixels.

    From a hole's highest point, the cut goes straight up, inside the part, to its end. There begins the outside, or a
    hole whose highest point is higher, which has been joined before.
    """
    ring = outer
    for hole in sorted(holes, key=lambda points: points[:, 1].min()):
        top = hole[:, 1].argmin()
        x, y = hole[top]
        gaps = np.flatnonzero(fine[:y, x] == 0)
        end = gaps[-1] + 1 if gaps.size else 0
        at = np.flatnonzero((ring == (x, end)).all(axis=1))[0]
        ring = np.concatenate([ring[: at + 1], hole[top:], hole[: top + 1], ring[at:]])
    return ring


def _corners(ring: np.ndarray) -> np.ndarray:
    """The points of ``ring`` at which its direction changes."""
    direction = np.sign(np.roll(ring, -1, axis=0) - ring)
    return ring[(direction != np.roll(direction, 1, axis=0)).any(axis=1)]

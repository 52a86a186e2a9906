"""Polygons -> masks: how YOLO's and Supervisely's are drawn (COCO's have a rule of their own: readers/coco.py).

A point (x, y) stands for the pixel it lies in: pixel (0, 0) spans 0 ... 1. The outline belongs to the shape, that of a
hole too: ultralytics' way (whole pixels, then ``cv2.fillPoly``). So a crack one pixel wide stays one pixel wide, which
rules that ask whether a pixel's centre lies inside, pycocotools' for one, would lose; and what ``cv2.findContours`` or
:mod:`defectbench.data.contours` traces is drawn back exactly. Polygons drawn by hand, along the edge of a defect
instead of inside it, come out half a pixel larger all around than by such a rule.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

# 7 / 1600 * 1600, or what six decimals leave of it, may be a little less than 7, and is meant to be pixel 7.
_TOLERANCE = 0.01


class PolygonError(Exception):
    """Points that are no polygon of the image."""


def checked(points: Any, height: int, width: int) -> np.ndarray:
    """``points``, any sequence of x and y in pixels, as (N, 2) float64 in or on the edge of an image; N >= 3.

    Up to one pixel beyond the image is a matter of rounding: such points move to the border.

    Raises:
        PolygonError: if there are fewer than 3 points, or one is not finite or further outside.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if len(points) < 3:
        raise PolygonError(f"polygon has {len(points)} points; it needs at least 3")
    inside = ((points >= -1) & (points <= [width + 1, height + 1])).all(axis=1)  # NaN is not
    if not inside.all():
        x, y = points[~inside][0]
        raise PolygonError(f"polygon leaves the image: x = {x:g}, y = {y:g} pixels, image {height} x {width}")
    return np.clip(points, 0, [width, height])


def draw(polygons: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Mask of one shape, (height, width) uint8, values 0 and 1.

    Args:
        polygons: Outlines of the shape's parts and holes, each (N, 2) of x and y in pixels. A pixel inside an even
            number of them, and on none, is outside: shapes that may overlap must be drawn one by one.
        height: Of the image, pixels.
        width: Of the image, pixels.
    """
    mask = np.zeros((height, width), dtype=np.uint8)
    if len(polygons):
        last = [width - 1, height - 1]  # points on the far edges belong to the last pixels
        cv2.fillPoly(
            mask, [np.minimum(np.floor(polygon + _TOLERANCE), last).astype(np.int32) for polygon in polygons], 1
        )
    return mask

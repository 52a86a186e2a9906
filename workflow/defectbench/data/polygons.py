"""Drawing of polygons as masks, by the rule of YOLO and Supervisely (COCO has another: readers/coco.py).

A point (x, y) represents the pixel that contains it: pixel (0, 0) spans 0 ... 1. The outline belongs to the shape, also
the outline of a hole, as in ultralytics (whole pixels, then ``cv2.fillPoly``). So a crack one pixel wide stays one
pixel wide, which rules that test whether a pixel's centre is inside, such as pycocotools', would lose; and outlines
traced by ``cv2.findContours`` or :mod:`defectbench.data.contours` are drawn back exactly. Polygons drawn by hand, along
the edge of a defect instead of inside it, are half a pixel larger all around than by such a rule.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

# Drawing takes time and memory by the length of an outline, of which few points far apart are enough for a great one:
# pixels that it may have, and the part of the image's pixels that it may have beyond.
_MOST_OUTLINE, _OUTLINE_PART = 2**22, 16

# 7 / 1600 * 1600, exact or with six decimals, may be a little less than 7, and means pixel 7.
_TOLERANCE = 0.01


class PolygonError(Exception):
    """Points that are not a polygon of the image."""


class DegenerateError(PolygonError):
    """Points that are not a shape at all, as a slip of the mouse leaves them: there is nothing to draw."""


def check_points(points: Any, height: int, width: int) -> np.ndarray:
    """``points``, any sequence of x and y in pixels, as (N, 2) float64 in or on the edge of an image; N >= 3.

    Points up to one pixel beyond the image are due to rounding and move to the border.

    Raises:
        DegenerateError: if there are fewer than 3 points.
        PolygonError: if one is not finite or further outside, or the outline is far too long.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if len(points) < 3:
        raise DegenerateError(f"polygon has {len(points)} points; it needs at least 3")
    inside = ((points >= -1) & (points <= [width + 1, height + 1])).all(axis=1)  # NaN is not
    if not inside.all():
        x, y = points[~inside][0]
        raise PolygonError(f"polygon leaves the image: x = {x:g}, y = {y:g} pixels, image {height} x {width}")
    length = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum()
    if length > _MOST_OUTLINE + height * width / _OUTLINE_PART:
        raise PolygonError(f"polygon crosses the image again and again: its outline is {length:,.0f} pixels long")
    return np.clip(points, 0, [width, height])


def draw_polygons(polygons: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Mask of one shape, (height, width) uint8, values 0 and 1.

    Args:
        polygons: Outlines of the shape's parts and holes, each (N, 2) of x and y in pixels. A pixel inside an even
            number of them, and on none, is outside: shapes that may overlap must be drawn one by one.
        height: Of the image, pixels.
        width: Of the image, pixels.
    """
    mask = np.zeros((height, width), dtype=np.uint8)
    add_polygons(mask, polygons)
    return mask


def add_polygons(mask: np.ndarray, polygons: Sequence[np.ndarray]) -> None:
    """Add one shape to ``mask``, (H, W) uint8; see :func:`draw_polygons`."""
    if len(polygons):
        part, top, left = draw_part(polygons, *mask.shape)
        mask[top : top + part.shape[0], left : left + part.shape[1]] |= part


def draw_part(polygons: Sequence[np.ndarray], height: int, width: int) -> tuple[np.ndarray, int, int]:
    """The part of :func:`draw_polygons` with the shape, at least one polygon, in it; its top row and left column.

    However large the image is, a shape costs no more than its bounding box.
    """
    last = [width - 1, height - 1]  # points on the far edges belong to the last pixels
    pixels = [np.clip(np.floor(polygon + _TOLERANCE), 0, last).astype(np.int32) for polygon in polygons]
    corners = np.concatenate(pixels)
    left, top = corners.min(axis=0).tolist()
    part = np.zeros((corners[:, 1].max() - top + 1, corners[:, 0].max() - left + 1), dtype=np.uint8)
    cv2.fillPoly(part, pixels, 1, offset=(-left, -top))
    return part, top, left

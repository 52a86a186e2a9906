"""Polygons drawn as masks."""

import cv2
import numpy as np
import pytest
from foreign_datasets import (
    rectangle,
    shape,
)
from small_datasets import HEIGHT, WIDTH

from defectbench.data.contours import trace_contours
from defectbench.data.polygons import PolygonError, check_points, draw_polygons


@pytest.mark.parametrize("seed", range(20))
def test_traced_outlines_are_drawn_back_exactly(seed):
    rings, _ = cv2.findContours(shape(seed), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    np.testing.assert_array_equal(draw_polygons([ring[:, 0] for ring in rings], HEIGHT, WIDTH), shape(seed))
    np.testing.assert_array_equal(draw_polygons(trace_contours(shape(seed)), HEIGHT, WIDTH), shape(seed))


def test_a_crack_one_pixel_wide_stays():
    crack = rectangle(3, 20, 7, 8)
    np.testing.assert_array_equal(draw_polygons([np.array([[7, 3], [6.999999, 19], [7.9, 19]])], HEIGHT, WIDTH), crack)


def test_no_polygon_draws_nothing():
    assert not draw_polygons([], HEIGHT, WIDTH).any()


def test_points_just_outside_move_to_the_border():
    points = check_points([[-0.9, -0.9], [WIDTH + 0.9, 3.5], [5, HEIGHT + 0.9]], HEIGHT, WIDTH)
    assert points.tolist() == [[0, 0], [WIDTH, 3.5], [5, HEIGHT]]
    assert draw_polygons([points], HEIGHT, WIDTH)[:, -1].any()  # the far edge belongs to the last pixels


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "0 points"),
        ([[1, 1], [2, 2]], "2 points"),
        ([[1, 1], [2, 2], [WIDTH + 1.1, 2]], "leaves the image"),
        ([[1, 1], [2, -1.1], [3, 3]], "leaves the image"),
        ([[1, 1], [2, float("nan")], [3, 3]], "leaves the image"),
        ([[1, 1], [2, float("-inf")], [3, 3]], "leaves the image"),
    ],
)
def test_no_polygon_of_the_image(points, message):
    with pytest.raises(PolygonError, match=message):
        check_points(points, HEIGHT, WIDTH)

"""Polygons drawn as masks."""

import tracemalloc

import cv2
import numpy as np
import pytest
from foreign_datasets import (
    rectangle,
    shape,
)
from pycocotools import mask as coco
from small_datasets import HEIGHT, WIDTH

from defectbench.data.contours import trace_contours
from defectbench.data.polygons import PolygonError, add_polygons, check_points, draw_polygons
from defectbench.data.readers.shapes import draw_outlined


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


def draw_on_whole_image(polygons, height, width):
    """The rule of the module without a bounding box: whole pixels, the far edges belong to the last ones."""
    mask = np.zeros((height, width), np.uint8)
    pixels = [np.minimum(np.floor(polygon + 0.01), [width - 1, height - 1]).astype(np.int32) for polygon in polygons]
    cv2.fillPoly(mask, pixels, 1)
    return mask


@pytest.mark.parametrize("seed", range(40))
def test_polygons_are_drawn_as_on_the_whole_image(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 60, 2).tolist()
    expected = np.zeros((height, width), np.uint8)
    mask = expected.copy()
    for _ in range(8):
        # Outlines with holes, some in a corner, some on whole pixels, some up to a pixel beyond the image.
        centre, spread = rng.uniform(0, (width, height)), rng.uniform(0.5, max(height, width))
        points = [rng.normal(centre, spread, (n, 2)) for n in rng.integers(3, 9, rng.integers(1, 4))]
        points = [np.clip(np.rint(p) if rng.random() < 0.5 else p, -1, [width + 1, height + 1]) for p in points]
        polygons = [check_points(p, height, width) for p in points]
        whole = draw_on_whole_image(polygons, height, width)
        np.testing.assert_array_equal(draw_polygons(polygons, height, width), whole)
        one = coco.decode(draw_outlined(points[0], height, width))
        np.testing.assert_array_equal(one, draw_on_whole_image(polygons[:1], height, width))
        expected |= whole
        add_polygons(mask, polygons)
        np.testing.assert_array_equal(mask, expected)


def test_a_small_polygon_costs_no_memory_of_the_image():
    mask, points = np.zeros((4000, 6000), np.uint8), np.array([[2000, 3000], [2040, 3000], [2040, 3010]], float)
    tracemalloc.start()
    add_polygons(mask, [points])
    draw_outlined(points, *mask.shape)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < mask.size / 10

"""Outlines of masks, drawn back by two rasterisers of others."""

import cv2
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco
from random_masks import blobs

from defectbench.data.contours import trace_contours
from defectbench.data.polygons import draw_polygons

MASKS = st.one_of(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.integers(0, 1)),
    st.integers(0, 2**32).map(lambda seed: blobs(seed, n_classes=1)[0]),
)
RING_IN_RING = np.pad(np.pad(np.pad(np.ones((1, 1), np.uint8), 1), 1, constant_values=1), 1)


@given(MASKS)
@settings(max_examples=200)
@example(np.zeros((3, 4), np.uint8))
@example(np.ones((1, 1), np.uint8))
@example(np.eye(7, dtype=np.uint8))
@example(np.indices((8, 9)).sum(axis=0).astype(np.uint8) % 2)
@example(np.pad(RING_IN_RING, 1, constant_values=1))
def test_polygons_give_the_mask_back(mask):
    height, width = mask.shape
    drawn, inside = np.zeros_like(mask), np.zeros_like(mask)
    for polygon in trace_contours(mask):
        assert len(polygon) >= 4
        assert (polygon > 0).all()
        assert (polygon < (width, height)).all()
        assert np.ptp(polygon, axis=0).min() > 0.5  # a box without area would be dropped
        cv2.fillPoly(drawn, [polygon.astype(np.int32)], 1)
        inside |= coco.decode(coco.frPyObjects([polygon.ravel().tolist()], height, width))[:, :, 0]
    np.testing.assert_array_equal(drawn, mask)
    one_by_one = [draw_polygons([polygon], height, width) for polygon in trace_contours(mask)]
    np.testing.assert_array_equal(np.any([0 * mask, *one_by_one], axis=0), mask)
    np.testing.assert_array_equal(inside, mask)


def test_an_outline_by_hand():
    (polygon,) = trace_contours(np.array([[1, 0], [1, 1]], np.uint8))
    corners = {(1, 1), (5, 1), (5, 7), (11, 7), (11, 11), (1, 11)}  # sixths of a pixel; the inner corner is kept
    assert len(polygon) == len(corners)
    assert {(round(x), round(y)) for x, y in polygon * 6} == corners

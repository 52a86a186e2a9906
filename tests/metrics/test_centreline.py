"""Skeletons and centre-line Dice against scikit-image on whole images, and cases computed by hand."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from random_masks import blobs
from scipy.ndimage import label
from skimage.morphology import skeletonize

from defectbench.metrics.centreline import skeleton
from defectbench.metrics.components import find_components
from defectbench.metrics.hits import count_hits

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=14))


def line_of(mask):
    return skeleton(find_components(mask))


def cl_dice(prediction, truth):
    return count_hits(line_of(prediction), truth, line_of(truth), prediction).score()


@given(masks)
def test_skeleton_equals_scikit_images_on_the_whole_mask(mask):
    np.testing.assert_array_equal(line_of(mask), skeletonize(mask))


@pytest.mark.parametrize("seed", range(5))
def test_skeleton_of_awkward_shapes_equals_scikit_images(seed):
    for mask in blobs(seed).view(bool):
        np.testing.assert_array_equal(line_of(mask), skeletonize(mask))


def test_skeleton_of_very_many_components_equals_scikit_images():
    mask = np.random.default_rng(0).random((90, 120)) < 0.12
    mask[30:50, 20:70] = True
    assert len(find_components(mask)) > 500
    np.testing.assert_array_equal(line_of(mask), skeletonize(mask))


@given(masks)
def test_every_component_keeps_a_centre_line_inside_it(mask):
    lines = line_of(mask)
    assert not (lines & ~mask).any()
    labels, n = label(mask, np.ones((3, 3)))
    assert set(labels[lines]) == set(range(1, n + 1))


@given(st.data())
def test_score_equals_the_published_formula(data):
    prediction = data.draw(masks)
    truth = data.draw(arrays(bool, prediction.shape))
    if not truth.any():
        assert np.isnan(cl_dice(prediction, truth))
        return
    # As in the authors' code: clDice = 2·Tprec·Tsens/(Tprec + Tsens).
    lines = skeletonize(prediction), skeletonize(truth)
    precision = (lines[0] & truth).sum() / lines[0].sum() if prediction.any() else 0
    sensitivity = (lines[1] & prediction).sum() / lines[1].sum()
    both = precision + sensitivity
    assert cl_dice(prediction, truth) == pytest.approx(2 * precision * sensitivity / both if both else 0)


def test_one_pixel_wide_lines_by_hand():
    truth, prediction = np.zeros((9, 20), bool), np.zeros((9, 20), bool)
    truth[4, 2:18] = True
    prediction[4, 2:10] = prediction[7, 2:6] = True
    # Of the 12 predicted pixels 8 lie on the truth, of its 16 pixels 8 are found.
    assert cl_dice(prediction, truth) == pytest.approx(2 * (8 / 12) * (8 / 16) / (8 / 12 + 8 / 16))


def test_a_wider_line_over_a_thin_one_is_almost_perfect_though_its_dice_is_not():
    truth, prediction = np.zeros((40, 90), np.uint8), np.zeros((40, 90), np.uint8)
    cv2.line(truth, (10, 20), (80, 20), 1, 1)
    cv2.line(prediction, (10, 20), (80, 20), 1, 5)
    truth, prediction = truth.view(bool), prediction.view(bool)
    assert cl_dice(prediction, truth) > 0.98  # the wide line's skeleton turns aside at one end
    assert 2 * (truth & prediction).sum() / (truth.sum() + prediction.sum()) < 0.4


EMPTY, FULL = np.zeros((6, 7), bool), np.ones((6, 7), bool)
PIXEL = EMPTY.copy()
PIXEL[0, 0] = True


@pytest.mark.parametrize(
    ("prediction", "truth", "score"),
    [
        (EMPTY, EMPTY, np.nan),
        (PIXEL, EMPTY, np.nan),
        (EMPTY, PIXEL, 0),
        (EMPTY, FULL, 0),
        (PIXEL, PIXEL, 1),
        (FULL, FULL, 1),
        # The corner is not on the centre line of the full mask.
        (FULL, PIXEL, 0),
        (PIXEL, FULL, 0),
    ],
)
def test_edge_cases_one_by_one(prediction, truth, score):
    np.testing.assert_array_equal(cl_dice(prediction, truth), score)

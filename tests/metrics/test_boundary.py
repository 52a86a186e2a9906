"""Boundaries and boundary F1 against distances measured one by one, and cases computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from random_masks import blobs
from scipy.ndimage import binary_erosion, distance_transform_edt, generate_binary_structure

from defectbench.metrics.boundary import boundary, within_tolerance
from defectbench.metrics.hits import Hits, count_hits

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=14))


def boundary_hits(prediction, truth):
    edges = boundary(prediction), boundary(truth)
    return count_hits(edges[0], within_tolerance(edges[1]), edges[1], within_tolerance(edges[0]))


def slow_boundary(mask):
    """Pixel by pixel: in the mask, and one of four neighbours is not, or is beyond the image."""
    found = []
    for y, x in np.argwhere(mask).tolist():
        around = ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        inside = [0 <= v < mask.shape[0] and 0 <= u < mask.shape[1] and mask[v, u] for v, u in around]
        if not all(inside):
            found.append((y, x))
    return found


def slow_hits(prediction, truth):
    p, t = slow_boundary(prediction), slow_boundary(truth)

    def near(points, others):
        return sum(any((y - v) ** 2 + (x - u) ** 2 <= 4 for v, u in others) for y, x in points)

    return len(p), near(p, t), len(t), near(t, p)


@given(masks)
def test_boundary_equals_the_pixel_by_pixel_reference(mask):
    assert list(map(tuple, np.argwhere(boundary(mask)).tolist())) == slow_boundary(mask)


@pytest.mark.parametrize("seed", range(5))
def test_boundary_is_what_an_erosion_by_scipy_takes_away(seed):
    for mask in blobs(seed).view(bool):
        eroded = binary_erosion(mask, generate_binary_structure(2, 1), border_value=0)
        np.testing.assert_array_equal(boundary(mask), mask & ~eroded)


@pytest.mark.parametrize("seed", range(5))
def test_tolerance_is_two_pixels_of_exact_euclidean_distance(seed):
    for mask in blobs(seed).view(bool):
        np.testing.assert_array_equal(within_tolerance(mask), distance_transform_edt(~mask) <= 2)


@given(st.data())
def test_hits_equal_brute_force_distances(data):
    prediction = data.draw(masks)
    truth = data.draw(arrays(bool, prediction.shape))
    assert boundary_hits(prediction, truth) == slow_hits(prediction, truth)


@pytest.mark.parametrize("seed", range(3))
def test_hits_of_awkward_shapes_equal_brute_force_distances(seed):
    prediction, truth = blobs(seed, height=24, width=31).view(bool)
    assert boundary_hits(prediction, truth) == slow_hits(prediction, truth)


@given(st.data())
def test_score_is_symmetric_bounded_and_one_for_equal_masks(data):
    a = data.draw(masks)
    b = data.draw(arrays(bool, a.shape))
    forth, back = boundary_hits(a, b).score(), boundary_hits(b, a).score()
    if a.any() and b.any():
        assert forth == pytest.approx(back)
        assert 0 <= forth <= 1
    if a.any():
        assert boundary_hits(a, a).score() == 1


def square(y, x, side=6, shape=(20, 30)):
    mask = np.zeros(shape, bool)
    mask[y : y + side, x : x + side] = True
    return mask


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_a_shift_within_the_tolerance_is_perfect(shift):
    assert boundary_hits(square(5, 5), square(5, 5 + shift)) == (20, 20, 20, 20)


def test_a_shift_by_three_pixels_by_hand():
    prediction, truth = square(5, 5), square(5, 8)
    # Of the 20 boundary pixels of each square only the far column, six pixels, is more than 2 px from the other's.
    assert boundary_hits(prediction, truth) == (20, 14, 20, 14)
    assert boundary_hits(prediction, truth).score() == pytest.approx(0.7)


EMPTY, FULL = np.zeros((6, 7), bool), np.ones((6, 7), bool)
PIXEL = EMPTY.copy()
PIXEL[3, 3] = True


@pytest.mark.parametrize(
    ("prediction", "truth", "hits", "score"),
    [
        (EMPTY, EMPTY, (0, 0, 0, 0), np.nan),
        (EMPTY, PIXEL, (0, 0, 1, 0), 0),
        (PIXEL, EMPTY, (1, 0, 0, 0), np.nan),
        (PIXEL, PIXEL, (1, 1, 1, 1), 1),
        (FULL, FULL, (22, 22, 22, 22), 1),
        (EMPTY, FULL, (0, 0, 22, 0), 0),
        # Of the frame of 6 x 7, only the bottom pixel of the pixel's own column is 2 px away from (3, 3).
        (FULL, PIXEL, (22, 1, 1, 1), 2 * (1 / 22) / (1 + 1 / 22)),
    ],
)
def test_edge_cases_one_by_one(prediction, truth, hits, score):
    assert boundary_hits(prediction, truth) == hits
    np.testing.assert_allclose(boundary_hits(prediction, truth).score(), score)


def test_scores_of_many_images_at_once():
    columns = np.array([(4, 2, 8, 2), (0, 0, 5, 0), (3, 0, 5, 0), (3, 0, 0, 0), (4, 4, 4, 4)]).T
    np.testing.assert_allclose(Hits(*columns).score(), [2 * 0.5 * 0.25 / 0.75, 0, 0, np.nan, 1])

"""Components, their scores, matches and clusters against SciPy, brute force and cases drawn by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from random_masks import blobs
from scipy import ndimage

from defectbench.metrics.components import (
    assign_clusters,
    count_inside,
    find_components,
    find_runs,
    highest_codes,
    match_components,
)

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=14))
EVERY_NEIGHBOUR = np.ones((3, 3))


def drawn(text):
    """Masks of the letters in a drawing, all letters and each alone."""
    letters = np.array([list(row) for row in text.split()])
    return letters != ".", {name: letters == name for name in np.unique(letters) if name != "."}


@given(masks)
def test_components_are_scipys(mask):
    found = find_components(mask)
    labels, n = ndimage.label(mask, EVERY_NEIGHBOUR)
    assert len(found) == n
    assert len(set(zip(found.labels().ravel(), labels.ravel(), strict=True))) == n + (not mask.all())
    for i in range(n):
        inside = found.labels() == i + 1
        ys, xs = np.nonzero(inside)
        assert found.areas[i] == inside.sum()
        box = [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
        assert found.boxes[i].tolist() == box


@given(masks, st.integers(0, 2**32 - 1))
def test_components_are_drawn_back(mask, seed):
    found = find_components(mask)
    np.testing.assert_array_equal(found.mask(), mask)
    chosen = np.random.default_rng(seed).random(len(found)) < 0.5
    np.testing.assert_array_equal(found.mask(chosen), np.isin(found.labels(), np.flatnonzero(chosen) + 1))
    for number, (box, part) in enumerate(found.parts(), start=1):
        np.testing.assert_array_equal(part, found.labels()[box] == number)


@given(st.data())
def test_pixels_of_components_in_another_mask(data):
    mask = data.draw(masks)
    other = data.draw(arrays(bool, mask.shape))
    found = find_components(mask)
    expected = [(other & (found.labels() == number)).sum() for number in range(1, len(found) + 1)]
    assert count_inside(found, find_runs(other)).tolist() == expected


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_scipys_maxima(seed):
    codes = np.random.default_rng(seed).integers(0, 65536, (47, 83)).astype(np.uint16)
    for mask in blobs(seed).view(bool):
        found = find_components(mask)
        expected = ndimage.maximum(codes, found.labels(), np.arange(1, len(found) + 1))
        np.testing.assert_array_equal(highest_codes(found, codes), expected)


EMPTY, FULL = np.zeros((5, 6), bool), np.ones((5, 6), bool)
PIXEL = EMPTY.copy()
PIXEL[4, 5] = True


@pytest.mark.parametrize(
    ("mask", "areas", "boxes"),
    [(EMPTY, [], []), (FULL, [30], [[0, 0, 6, 5]]), (PIXEL, [1], [[5, 4, 1, 1]])],
)
def test_empty_full_and_single_pixel_masks(mask, areas, boxes):
    found = find_components(mask)
    assert found.areas.tolist() == areas
    assert found.boxes.tolist() == boxes
    codes = np.arange(30, dtype=np.uint16).reshape(5, 6)
    assert highest_codes(found, codes).tolist() == [29] * len(areas)


@pytest.mark.parametrize("prediction", [EMPTY, FULL, PIXEL])
@pytest.mark.parametrize("truth", [EMPTY, FULL, PIXEL])
def test_matches_of_empty_full_and_single_pixel_masks(prediction, truth):
    predicted, true = find_components(prediction), find_components(truth)
    matched, ious = match_components(predicted, true, np.zeros(len(predicted), np.uint16), 0.5)
    same = prediction.any() and np.array_equal(prediction, truth)
    assert matched.tolist() == [0 if same else -1] * len(predicted)
    np.testing.assert_array_equal(ious, [1 if same else np.nan] * len(predicted))


def test_an_iou_of_exactly_the_threshold_matches():
    truth, prediction = EMPTY.copy(), EMPTY.copy()
    truth[1, 1:5] = True
    prediction[1, 1:3] = True
    for min_iou, expected in ((0.5, 0), (0.51, -1)):
        matched, _ = match_components(
            find_components(prediction), find_components(truth), np.array([7], np.uint16), min_iou
        )
        assert matched.tolist() == [expected]


def test_of_two_halves_of_a_defect_the_one_with_the_higher_score_finds_it():
    truth, halves = np.ones((3, 5), bool), np.ones((3, 5), bool)
    truth[:, 0] = truth[0] = halves[:, 2] = False
    halves[0] = False
    assert len(find_components(halves)) == 2
    for scores, expected in (([5, 9], [-1, 0]), ([9, 5], [0, -1])):
        matched, ious = match_components(
            find_components(halves), find_components(truth), np.array(scores, np.uint16), 0.2
        )
        # Left: 2 of 4 pixels on the truth of 8, IoU 0.2; right: 4 of 4, IoU 0.5.
        assert matched.tolist() == expected
        assert np.nanmax(ious) == (0.5 if expected[1] == 0 else 0.2)


def test_of_equal_scores_the_higher_iou_goes_first():
    truth, halves = np.ones((3, 5), bool), np.ones((3, 5), bool)
    truth[:, 0] = truth[0] = halves[:, 2] = halves[0] = False
    matched, _ = match_components(find_components(halves), find_components(truth), np.array([5, 5], np.uint16), 0.2)
    assert matched.tolist() == [-1, 0]


def test_each_side_is_matched_at_most_once():
    truth, prediction = np.ones((1, 9), bool), np.ones((1, 9), bool)
    truth[0, 4] = False
    matched, _ = match_components(find_components(prediction), find_components(truth), np.array([1], np.uint16), 0.3)
    assert matched.tolist() == [0]


def slow_match(prediction, truth, scores, min_iou):
    """Predicted components one by one from the highest score, as COCO's evaluation does; scores must differ."""
    found, true = find_components(prediction).labels(), find_components(truth).labels()
    free, matched = list(range(true.max(initial=0))), {}
    for p in np.argsort(scores)[::-1].tolist():
        sides = [(found == p + 1, true == t + 1) for t in free]
        ious = [(a & b).sum() / (a | b).sum() for a, b in sides]
        if ious and max(ious) >= min_iou:
            matched[p] = free.pop(int(np.argmax(ious))), max(ious)
    return matched


@given(st.data(), st.sampled_from([0.1, 0.25, 0.5, 0.75]))
def test_matches_equal_a_slow_reference(data, min_iou):
    prediction = data.draw(masks)
    truth = prediction ^ data.draw(arrays(bool, prediction.shape, elements=st.booleans(), fill=st.just(False)))
    predicted, true = find_components(prediction), find_components(truth)
    scores = data.draw(st.permutations(range(len(predicted))))
    scores = np.array(scores, np.uint16)
    matched, ious = match_components(predicted, true, scores, min_iou)
    slow = slow_match(prediction, truth, scores, min_iou)
    assert {p: t for p, t in enumerate(matched.tolist()) if t >= 0} == {p: t for p, (t, _) in slow.items()}
    assert ious[list(slow)].tolist() == pytest.approx([iou for _, iou in slow.values()])


@given(st.data())
def test_a_cut_of_the_scores_leaves_the_matches_above_it_as_they_are(data):
    prediction = data.draw(masks)
    truth = data.draw(arrays(bool, prediction.shape))
    predicted, true = find_components(prediction), find_components(truth)
    scores = np.array(
        data.draw(st.lists(st.integers(0, 3), min_size=len(predicted), max_size=len(predicted))), np.uint16
    )
    matched, _ = match_components(predicted, true, scores, 0.3)
    for cut in range(4):
        kept = np.flatnonzero(scores >= cut)
        above = find_components(np.isin(predicted.labels(), kept + 1))
        after, _ = match_components(above, true, scores[kept], 0.3)
        np.testing.assert_array_equal(after, matched[kept])


def test_pieces_closer_than_the_tolerance_of_both_are_one_cluster():
    mask, _ = drawn(
        """
        a....b......
        a....b......
        ............
        ............
        ............
        ..........c.
        """
    )
    found = find_components(mask)
    # a and b are 5 px apart, 4 between them: both grow by 2 and touch. c is farther away.
    assert assign_clusters(mask, found).tolist() == [0, 0, 1]
    assert assign_clusters(~mask, find_components(~mask)).tolist() == [0]
    assert assign_clusters(EMPTY, find_components(EMPTY)).tolist() == []


@given(masks)
def test_clusters_are_the_components_of_the_grown_mask(mask):
    found = find_components(mask)
    labels, _ = ndimage.label(ndimage.distance_transform_edt(~mask) <= 2 if mask.any() else mask, EVERY_NEIGHBOUR)
    pairs = {
        (labels[found.labels() == i + 1][0], cluster) for i, cluster in enumerate(assign_clusters(mask, found).tolist())
    }
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == labels.max(initial=0)

"""The sweep of components: against scipy and an assignment, by hand, and what it must not do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_masks import blobs
from scipy import ndimage

from defectbench.metrics.codes import codes_from_logits
from defectbench.metrics.component_sweep import CUTS, THRESHOLDS, recall_at_fp, sweep_components
from defectbench.metrics.components import find_components

CODES = codes_from_logits(CUTS).tolist()


def slow_sweep(codes, truth, min_iou):
    """Label with scipy; the scores and IoUs one component at a time."""
    predicted, found = np.zeros((2, len(THRESHOLDS), len(CUTS)), int)
    true, n_true = ndimage.label(truth, np.ones((3, 3)))
    for i, cut in enumerate(codes_from_logits(np.array(THRESHOLDS)).tolist()):
        labels, n = ndimage.label(codes >= cut, np.ones((3, 3)))
        free = set(range(1, n_true + 1))
        levels = [sum(codes[labels == p].max() >= c for c in CODES) - 1 for p in range(1, n + 1)]
        for level in levels:
            predicted[i, level] += 1
        for p in sorted(range(1, n + 1), key=lambda p: -levels[p - 1]):
            a = labels == p
            ious = {t: (a & (true == t)).sum() / (a | (true == t)).sum() for t in free}
            if ious and max(ious.values()) >= min_iou:
                found[i, levels[p - 1]] += 1
                free.remove(max(ious, key=ious.get))
    return predicted, found


@settings(max_examples=20)
@given(st.integers(0, 500), st.floats(0.5, 3))
def test_counts_are_those_of_a_slow_sweep(seed, sharpness):
    rng = np.random.default_rng(seed)
    truth = blobs(seed, height=20, width=28)[0].astype(bool)
    noise = ndimage.gaussian_filter(rng.normal(size=truth.shape), 1) * 4
    codes = (32768 + 512 * sharpness * (3 * truth - 1.5 + noise)).clip(0, 65535).astype(np.uint16)
    for ours, slow in zip(
        sweep_components(codes, find_components(truth), 0.5), slow_sweep(codes, truth, 0.5), strict=True
    ):
        np.testing.assert_array_equal(ours, slow)


def at(counted, threshold, cut=-6):
    """Components at a threshold whose highest logit is at least ``cut``."""
    return counted[THRESHOLDS.index(threshold), CUTS.tolist().index(cut) :].sum()


def test_a_low_threshold_joins_what_a_high_one_keeps_apart():
    logits = np.full((5, 12), -20.0)
    logits[1:4, 1:4] = logits[1:4, 7:10] = 1.2
    logits[2, 2], logits[2, 4:7] = 3.5, -2.5
    predicted, found = sweep_components(codes_from_logits(logits), find_components(logits > 0), 0.5)
    assert (at(predicted, -3), at(found, -3)) == (1, 0)  # of 21 pixels, an IoU of 9/21 with each
    assert (at(predicted, -2), at(found, -2)) == (2, 2)
    assert (at(predicted, 1), at(found, 1)) == (2, 2)
    # One of the two reaches a logit of 3: a threshold there leaves one pixel of it, a cut all nine.
    assert (at(predicted, 3), at(found, 3)) == (1, 0)
    assert (at(predicted, 1, cut=3), at(found, 1, cut=3)) == (1, 1)
    assert at(predicted, 4) == 0


def test_one_component_finds_one_at_most_and_the_higher_score_comes_first():
    truth = np.zeros((3, 9), bool)
    truth[1, :4] = truth[1, 5:8] = True
    codes = np.where(truth, 65535, 0).astype(np.uint16)
    codes[1, 4] = 65535
    predicted, found = sweep_components(codes, find_components(truth), 0.3)
    assert (predicted.sum(axis=1) == 1).all()
    assert (found.sum(axis=1) == 1).all()
    # One true component, two halves: the smaller one has the higher score, and takes it.
    whole = np.zeros((1, 9), bool)
    whole[0] = True
    logits = np.array([[2.5, 2.5, 2.5, 2.5, -20, 3.5, 3.5, 3.5, -20]])
    predicted, found = sweep_components(codes_from_logits(logits), find_components(whole), 0.3)
    assert (at(predicted, 0), at(found, 0), at(found, 0, cut=3)) == (2, 1, 1)


def test_empty_maps_and_clean_images():
    clean = find_components(np.zeros((4, 5), bool))
    assert [n.sum() for n in sweep_components(np.zeros((4, 5), np.uint16), clean, 0.5)] == [0, 0]
    predicted, found = sweep_components(np.full((4, 5), 65535, np.uint16), clean, 0.5)
    assert (predicted[:, -1] == 1).all()
    assert predicted.sum() == len(THRESHOLDS)
    assert not found.any()


def test_recall_by_hand():
    predicted, found = np.zeros((2, 3, 3), int)
    predicted[0], found[0] = (6, 2, 2), (0, 2, 1)  # from the highest score: false 1, 1, 7; found 1, 3, 3
    predicted[1], found[1] = (0, 3, 2), (0, 2, 2)  # false 0, 1; found 2, 4
    for at_most, expected in ((0, 0.4), (0.5, 0.8), (4, 0.8)):
        assert recall_at_fp(predicted, found, 5, 2, at_most) == expected
    assert recall_at_fp(predicted[:1], found[:1], 5, 2, 0) == 0
    assert recall_at_fp(predicted[:1], found[:1], 5, 2, 0.5) == 0.6
    assert recall_at_fp(predicted, found, 0, 2, 3) is None


@given(st.integers(0, 1000), st.integers(1, 8))
def test_recall_does_not_fall_with_the_false_components_allowed(seed, n_images):
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 2, (5, 5))
    predicted = found + rng.integers(0, 6, (5, 5))
    values = [recall_at_fp(predicted, found, 5, n_images, x) for x in (0, 0.5, 1, 2, 1000)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(found.sum(axis=1).max() / 5)

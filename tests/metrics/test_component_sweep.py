"""The sweep of components: against scipy and an assignment, by hand, and what it must not do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_masks import blobs
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from defectbench.metrics.codes import threshold_code
from defectbench.metrics.component_sweep import SWEPT_K, recall_at_fp, sweep_components
from defectbench.metrics.components import find_components

CUTS = [threshold_code(k) for k in SWEPT_K]


def slow_sweep(codes, truth, min_iou):
    """Label with scipy, and pair as many components as possible; greedy pairs of IoU ≥ 0.5 are as many."""
    predicted, found = [], []
    true, n_true = ndimage.label(truth, np.ones((3, 3)))
    for cut in CUTS:
        labels, n = ndimage.label(codes >= cut, np.ones((3, 3)))
        ious = np.zeros((n, n_true))
        for p in range(n):
            for t in range(n_true):
                a, b = labels == p + 1, true == t + 1
                ious[p, t] = (a & b).sum() / (a | b).sum()
        rows, columns = linear_sum_assignment(ious >= min_iou, maximize=True)
        predicted.append(n)
        found.append(int((ious[rows, columns] >= min_iou).sum()))
    return predicted, found


@given(st.integers(0, 500), st.floats(0.5, 3))
def test_counts_are_those_of_a_slow_sweep(seed, sharpness):
    rng = np.random.default_rng(seed)
    truth = blobs(seed, height=20, width=28)[0].astype(bool)
    noise = ndimage.gaussian_filter(rng.normal(size=truth.shape), 1) * 4
    codes = (32768 + 512 * sharpness * (3 * truth - 1.5 + noise)).clip(0, 65535).astype(np.uint16)
    predicted, found = sweep_components(codes, find_components(truth), 0.5)
    assert (predicted.tolist(), found.tolist()) == slow_sweep(codes, truth, 0.5)


def test_a_low_threshold_joins_what_a_high_one_keeps_apart():
    codes = np.zeros((5, 12), np.uint16)
    codes[1:4, 1:4] = codes[1:4, 7:10] = threshold_code(200)
    codes[2, 4:7] = threshold_code(20)
    truth = codes >= threshold_code(200)
    predicted, found = (
        dict(zip(SWEPT_K, n.tolist(), strict=True)) for n in sweep_components(codes, find_components(truth), 0.5)
    )
    assert (predicted[16], found[16]) == (1, 0)  # of 21 pixels, an IoU of 9/21 with each
    assert (predicted[32], found[32]) == (2, 2)
    assert (predicted[192], found[192]) == (2, 2)
    assert (predicted[224], found[224]) == (0, 0)


def test_one_component_finds_one_at_most_and_pairs_go_by_iou():
    truth = np.zeros((3, 9), bool)
    truth[1, :4] = truth[1, 5:8] = True
    codes = np.where(truth, 65535, 0).astype(np.uint16)
    codes[1, 4] = 65535
    predicted, found = sweep_components(codes, find_components(truth), 0.3)
    assert set(predicted.tolist()) == {1}
    assert set(found.tolist()) == {1}


def test_empty_maps_and_clean_images():
    clean = find_components(np.zeros((4, 5), bool))
    assert [n.sum() for n in sweep_components(np.zeros((4, 5), np.uint16), clean, 0.5)] == [0, 0]
    predicted, found = sweep_components(np.full((4, 5), 65535, np.uint16), clean, 0.5)
    assert (predicted == 1).all()
    assert not found.any()


def test_recall_by_hand():
    predicted, found = np.array([9, 5, 3, 1, 0]), np.array([3, 4, 2, 1, 0])
    # Two images: false components 6, 1, 1, 0, 0; the lowest threshold joins components and finds fewer.
    assert recall_at_fp(predicted, found, 5, 2, 0) == 0.2
    assert recall_at_fp(predicted, found, 5, 2, 0.5) == 0.8
    assert recall_at_fp(predicted, found, 5, 2, 3) == 0.8
    assert recall_at_fp(predicted, found, 0, 2, 3) is None
    assert recall_at_fp(predicted + 9, found, 5, 2, 0.5) == 0


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), min_size=1, max_size=17), st.integers(1, 8))
def test_recall_does_not_fall_with_the_false_components_allowed(points, n_images):
    found = np.array([f for _, f in points])
    predicted = found + [false for false, _ in points]
    values = [recall_at_fp(predicted, found, 5, n_images, x) for x in (0, 0.5, 1, 2, 1000)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(found.max() / 5)

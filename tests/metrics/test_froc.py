"""FROC against a slow one over all cuts, cases by hand, and what ties must not do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defectbench.metrics.froc import froc, recall_at_fp

found = st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=25)


def slow_recall_at_fp(pairs, n_truth, n_images, at_most):
    """Try every cut, from above the highest score down, and keep the best one that is allowed."""
    best = 0.0
    for cut in [7, *range(6, -1, -1)]:
        kept = [hit for score, hit in pairs if score >= cut]
        if sum(not hit for hit in kept) / n_images <= at_most:
            best = max(best, sum(kept) / n_truth)
    return best


def columns(pairs):
    return np.array([score for score, _ in pairs], np.int64), np.array([hit for _, hit in pairs], bool)


@given(found, st.integers(0, 5), st.integers(1, 8), st.sampled_from([0.5, 1, 2]))
def test_recall_equals_that_of_a_slow_search_over_all_cuts(pairs, missed, n_images, at_most):
    n_truth = sum(hit for _, hit in pairs) + missed
    result = recall_at_fp(*columns(pairs), n_truth, n_images, at_most)
    if n_truth == 0:
        assert result is None
    else:
        assert result == pytest.approx(slow_recall_at_fp(pairs, n_truth, n_images, at_most))


@given(found, st.randoms())
def test_order_and_ties_do_not_matter(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    a, b = (froc(*columns(p), 30) for p in (pairs, shuffled))
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(set(a.score)) == len(a.score)


@given(found, st.integers(1, 8))
def test_recall_does_not_fall_with_the_false_components_allowed(pairs, n_images):
    values = [recall_at_fp(*columns(pairs), 30, n_images, x) for x in (0, 0.5, 1, 2, 1000)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(sum(hit for _, hit in pairs) / 30)


def test_by_hand():
    scores = np.array([90, 80, 80, 70, 60, 50])
    hit = np.array([True, False, True, True, False, True])
    curve = froc(scores, hit, 5)
    assert curve.score.tolist() == [90, 80, 70, 60, 50]
    assert curve.false.tolist() == [0, 1, 1, 2, 2]
    assert curve.recall.tolist() == [0.2, 0.4, 0.6, 0.6, 0.8]
    # Two images: one false component is 0.5 per image, two are 1.
    assert recall_at_fp(scores, hit, 5, 2, 0.5) == 0.6
    assert recall_at_fp(scores, hit, 5, 2, 1) == 0.8
    # Two more images, clean and left clean, make the same false components rarer.
    assert recall_at_fp(scores, hit, 5, 4, 0.5) == 0.8


def test_a_cut_takes_all_equal_scores_or_none():
    scores, hit = np.array([9, 9, 9]), np.array([True, False, False])
    assert recall_at_fp(scores, hit, 1, 1, 1) == 0
    assert recall_at_fp(scores, hit, 1, 1, 2) == 1


NOTHING = np.zeros(0, np.int64), np.zeros(0, bool)


def test_nothing_predicted_and_nothing_true():
    assert recall_at_fp(*NOTHING, 3, 2, 1) == 0
    assert recall_at_fp(*NOTHING, 0, 2, 1) is None
    assert recall_at_fp(np.array([5]), np.array([False]), 0, 2, 1) is None
    assert recall_at_fp(np.array([5]), np.array([True]), 1, 2, 0.5) == 1

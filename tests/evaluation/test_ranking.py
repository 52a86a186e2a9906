"""Ranks, means over seeds and the spread between trainings, against scipy and hand-computed cases."""

import numpy as np
import pytest
from scipy.stats import kendalltau
from scipy.stats import t as student

from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.evaluation.ranking import bootstrap_ranks, estimate_mean, seed_spread


def test_ranks_by_hand_and_kendalls_tau():
    rng = np.random.default_rng(5)
    base = rng.random(60)
    scores = np.array([base, base + 0.5, base - 0.001 + rng.normal(0, 0.02, 60), base])
    draws = GroupBootstrap(np.repeat(np.arange(20), 3), 200, 0)
    ranking = bootstrap_ranks(scores, draws)
    assert ranking.rank[1] == ranking.median[1] == ranking.low[1] == ranking.high[1] == 1
    assert ranking.rank[0] == ranking.rank[3]
    assert ranking.p_best.tolist() == [0, 1, 0, 0]
    means = np.column_stack([draws.means(row) for row in scores]).round(12)
    taus = [kendalltau(scores.mean(axis=1).round(12), row).statistic for row in means]
    assert ranking.tau == pytest.approx(tuple(np.quantile(taus, [0.5, 0.025, 0.975])))
    twins = bootstrap_ranks(scores[[0, 3]], draws)
    assert twins.p_best.tolist() == [0.5, 0.5]
    assert twins.rank.tolist() == [1.5, 1.5]
    assert np.isnan(twins.tau).all()


def test_seed_and_image_variance_are_told_apart():
    by_hand = seed_spread(np.array([[0.2, 0.6], [0.4, 0.8]]))
    # Mean squares: seeds 0.04, images 0.16, rest 0; so the variances are 0.04/2 and 0.16/2.
    parts = (by_hand.mean, by_hand.sd, by_hand.seed_sd, by_hand.image_sd, by_hand.rest_sd)
    assert parts == pytest.approx((0.5, 0.02**0.5, 0.02**0.5, 0.08**0.5, 0), abs=1e-12)
    rng = np.random.default_rng(6)
    crossed = rng.normal(0, 0.05, (200, 1)) + rng.normal(0, 0.2, 2000) + rng.normal(0, 0.1, (200, 2000))
    found = seed_spread(crossed)
    assert (found.seed_sd, found.image_sd, found.rest_sd) == pytest.approx((0.05, 0.2, 0.1), rel=0.15)


def test_experiments_without_a_score_have_no_rank():
    scores = np.array([[0.5, 0.6, np.nan], [np.nan] * 3, [0.9, 0.9, 0.9]])
    ranking = bootstrap_ranks(scores, GroupBootstrap(np.arange(3), 50, 0))
    np.testing.assert_equal(ranking.rank, [2, np.nan, 1])
    assert np.isnan(bootstrap_ranks(scores[[1]], GroupBootstrap(np.arange(3), 50, 0)).luck)


def test_the_first_of_many_equals_is_lucky_and_one_far_ahead_is_not():
    rng = np.random.default_rng(9)
    draws = GroupBootstrap(np.arange(60), 500, 0)
    equals = rng.normal(0.6, 0.15, (15, 60))
    # The expected maximum of 15 standard normal values is 1.74, and their means have an error of 0.15/sqrt(60).
    assert 0.3 < bootstrap_ranks(equals, draws).luck / (1.74 * 0.15 / 60**0.5) <= 1.2
    ahead = equals.copy()
    ahead[3] += 0.3
    assert abs(bootstrap_ranks(ahead, draws).luck) < 0.002


def test_the_interval_of_a_mean_over_seeds_holds_both_chances():
    rng = np.random.default_rng(3)
    images = GroupBootstrap(np.arange(200), 1000, 0)
    one = rng.beta(5, 2, (1, 200))
    alone = estimate_mean(one, images)
    assert (alone.low, alone.high) == images.interval(one[0])
    assert np.isnan(alone.sd)
    several = one + np.array([[-0.04], [0.0], [0.04]])
    found = estimate_mean(several, images)
    assert (found.mean, found.sd) == pytest.approx((one.mean(), 0.04))
    low, high = images.interval(several.mean(axis=0))
    reach = student.ppf(0.975, 2) * 0.04 / 3**0.5
    assert found.mean - found.low == pytest.approx(np.hypot(found.mean - low, reach))
    assert found.high - found.mean == pytest.approx(np.hypot(high - found.mean, reach))
    many = estimate_mean(np.vstack([several] * 4), images)
    assert low - 0.025 < many.low < low, "the more seeds, the less is left of their chance"

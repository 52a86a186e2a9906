"""Intervals, tests and ranks against scipy, statsmodels, hand-computed cases and simulated studies."""

import sys

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, bootstrap, kendalltau, wilcoxon
from statsmodels.stats.multitest import multipletests

from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.evaluation.statistics import Comparison, bootstrap_ranks, compare, holm, judge, seed_spread

sys.path.append(str(ROOT / "benchmarks"))
import statistical_tests as simulated

SCORES = arrays(float, 24, elements=st.floats(0, 1, width=32))
GROUPS = np.repeat(np.arange(8), 3)


def naive_interval(values, groups, draws, seed):
    """The definition, one draw at a time."""
    names = np.unique(groups)
    counts = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)

    def mean_and_error(chosen):
        pairs = [(np.nansum(values[groups == g]), (~np.isnan(values[groups == g])).sum()) for g in chosen]
        sums, sizes = np.array(pairs).T
        mean = sums.sum() / sizes.sum()
        n = (np.array([(~np.isnan(values[groups == g])).sum() for g in names]) > 0).sum()
        return mean, np.sqrt(((sums - mean * sizes) ** 2).sum() * n / (n - 1)) / sizes.sum()

    mean, error = mean_and_error(names)
    ratios = []
    for count in counts:
        drawn, own = mean_and_error(np.repeat(names, count))
        ratios.append((drawn - mean) / own)
    low, high = np.quantile(ratios, 0.025, method="lower"), np.quantile(ratios, 0.975, method="higher")
    return mean - high * error, mean - low * error


def test_the_interval_is_that_of_a_plain_loop_over_the_same_draws():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), rng.integers(1, 6, 20))
    values = rng.normal(0.5, 0.2, len(groups)) + rng.normal(0, 0.2, 20)[groups]
    values[rng.random(len(values)) < 0.2] = np.nan
    found = GroupBootstrap(groups, 300, 5).interval(values, -9, 9)
    assert found == pytest.approx(naive_interval(values, groups, 300, 5))


def test_without_clusters_it_agrees_with_scipys_bca():
    values = np.random.default_rng(1).beta(5, 2, 400)
    found = GroupBootstrap(np.arange(400), 4000, 0).interval(values, 0, 1)
    expected = bootstrap((values,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(2))
    width = expected.confidence_interval.high - expected.confidence_interval.low
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=0.06 * width)


def test_copies_of_images_in_their_groups_add_no_certainty():
    values = np.random.default_rng(3).random(40)
    once = GroupBootstrap(np.arange(40), 500, 0).interval(values, 0, 1)
    copied = GroupBootstrap(np.repeat(np.arange(40), 5), 500, 0).interval(np.repeat(values, 5), 0, 1)
    assert copied == pytest.approx(once)


def test_degenerate_samples():
    draws = GroupBootstrap(np.arange(30), 200, 0)
    assert draws.interval(np.full(30, 0.7), 0, 1) == pytest.approx((0.7, 0.7))
    alone = np.full(30, np.nan)
    alone[4] = 0.5
    assert np.isnan(draws.interval(alone, 0, 1)).all()
    # One image of 30 is wrong: most draws have no spread, the interval is neither a point nor everything.
    low, high = draws.interval(np.array([0.0, *[1.0] * 29]), 0, 1)
    assert 0.85 < low < 29 / 30
    assert high == 1


@given(SCORES, st.randoms())
def test_the_order_of_images_does_not_matter(values, random):
    order = list(range(24))
    random.shuffle(order)
    one = GroupBootstrap(GROUPS, 100, 1).interval(values, 0, 1)
    other = GroupBootstrap(GROUPS[order], 100, 1).interval(values[order], 0, 1)
    assert other == pytest.approx(one, abs=1e-6)


def test_a_comparison_by_hand():
    a, b = np.array([0.9, 0.7, 0.5, 0.4, np.nan]), np.array([0.8, 0.8, 0.2, 0.2, 0.3])
    found = compare(a, b, GroupBootstrap(np.array(["x", "x", "y", "z", "z"]), 100, 0))
    assert (found.n_images, found.n_groups) == (4, 3)
    assert (found.mean_a, found.mean_b, found.difference) == pytest.approx((0.625, 0.5, 0.125))
    # Group differences 0, 0.3, 0.2.
    assert found.p == wilcoxon([0.0, 0.3, 0.2], zero_method="zsplit").pvalue


def test_wilcoxon_sees_group_means_and_equal_scores_are_no_evidence():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(30), rng.integers(1, 5, 30))
    a, b = rng.random((2, len(groups)))
    means = [np.mean((a - b)[groups == g]) for g in range(30)]
    bootstrap_ = GroupBootstrap(groups, 100, 0)
    assert compare(a, b, bootstrap_).p == pytest.approx(wilcoxon(means, zero_method="zsplit").pvalue)
    same = compare(a, a, bootstrap_)
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)
    assert np.isnan(compare(a, np.full(len(a), np.nan), bootstrap_).p)


@settings(max_examples=15)
@given(SCORES, SCORES)
def test_swapping_a_and_b_turns_the_signs_alone(a, b):
    draws = GroupBootstrap(GROUPS, 100, 2)
    one, other = compare(a, b, draws), compare(b, a, draws)
    assert other.p == pytest.approx(one.p)
    assert other.difference == pytest.approx(-one.difference)
    # Both quantiles are taken outwards.
    assert (-other.high, -other.low) == pytest.approx((one.low, one.high), abs=1e-6)


@settings(max_examples=15)
@given(SCORES, SCORES, st.floats(-0.5, 0.5))
def test_a_constant_added_to_both_changes_no_difference(a, b, shift):
    draws = GroupBootstrap(GROUPS, 100, 2)
    one, other = compare(a, b, draws), compare(a + shift, b + shift, draws)
    assert (other.difference, other.low, other.high) == pytest.approx((one.difference, one.low, one.high), abs=1e-6)
    assert other.p == pytest.approx(one.p)


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_holm_is_that_of_statsmodels(n):
    p = np.random.default_rng(n).random(n).round(1) ** 3  # with ties
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


def test_holm_leaves_out_what_was_not_tested():
    np.testing.assert_allclose(holm(np.array([0.03, np.nan, 0.01])), [0.03, np.nan, 0.02])
    assert holm(np.array([])).shape == (0,)


def comparison(p, low, high, n_groups=50):
    return Comparison(100, n_groups, 0.6, 0.5, (low + high) / 2, low, high, p)


def test_a_claim_needs_both_the_test_and_the_interval():
    cases = [
        comparison(0.001, 0.01, 0.2),
        comparison(0.001, -0.2, -0.01),
        comparison(0.001, -0.01, 0.2),
        comparison(0.06, 0.01, 0.2),
        comparison(0.001, 0.01, 0.2, n_groups=19),
        comparison(np.nan, np.nan, np.nan, n_groups=0),
    ]
    verdicts = judge(cases)
    assert [v.claim for v in verdicts] == [
        "a better", "b better", "no claim", "no claim", "too few groups", "too few groups",
    ]  # fmt: skip
    assert verdicts[0].p_holm == pytest.approx(0.005)
    assert verdicts[2].reason == "Holm p < 0.05, but the interval includes 0"
    assert judge([comparison(0.04, 0.01, 0.2)])[0].claim == "a better"
    assert judge(cases + [comparison(0.04, 0.01, 0.2)] * 9)[0].claim == "a better"
    assert judge([]) == []


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


def share(function, simulations, **case):
    return np.mean([function(seed, **case) for seed in range(simulations)], axis=0)


def test_equals_seldom_differ_though_images_are_clustered():
    n = 80
    by_group, _, by_image = share(simulated.false_claims, n, icc=0.4, k=4)
    assert by_group * n <= binom.ppf(0.999, n, 0.05)
    assert by_image > 0.2, "what the groups are for"


def test_a_real_difference_is_found_and_few_groups_are_not_enough():
    n = 60
    (found,) = share(simulated.power, n, icc=0.0, k=2, per_group=1)
    assert found * n >= binom.ppf(0.001, n, 0.8)
    (few,) = share(simulated.power, 20, icc=0.0, k=2, per_group=1, gain=0.3, n=19)
    assert few == 0


@pytest.mark.parametrize("name", list(simulated.DISTRIBUTIONS))
def test_intervals_cover_the_truth(name):
    n = 150
    (covered,) = share(simulated.coverage, n, name=name, n_groups=50)
    assert binom.ppf(0.001, n, 0.93) <= covered * n


def test_skewed_differences_of_equal_means_are_no_claim():
    wilcoxon_alone, claimed = share(simulated.skewed, 60, n_groups=100)
    assert wilcoxon_alone > 0.5
    assert claimed * 60 <= binom.ppf(0.999, 60, 0.05)

"""Intervals, tests and ranks against scipy, statsmodels, hand-computed cases and simulated studies."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, bootstrap, kendalltau, norm, ttest_1samp, wilcoxon
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests
from tiny_study import ROOT

from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.evaluation.ranking import bootstrap_ranks, seed_spread
from defectbench.evaluation.statistics import Comparison, compare, holm, judge

sys.path.append(str(ROOT / "benchmarks"))
import statistical_tests as simulated

simulated.DRAWS = 1000  # for speed

SCORES = arrays(float, 24, elements=st.floats(0, 1, width=32))
GROUPS = np.repeat(np.arange(8), 3)


def naive_bootstrap(values, groups, draws, seed):
    """Mean, standard error and studentised draws by the definition, one draw at a time."""
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
    return mean, error, np.array(ratios)


def test_interval_and_p_are_those_of_a_plain_loop_over_the_same_draws():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), rng.integers(1, 6, 20))
    values = rng.normal(0.5, 0.2, len(groups)) + rng.normal(0, 0.2, 20)[groups]
    values[rng.random(len(values)) < 0.2] = np.nan
    mean, error, ratios = naive_bootstrap(values, groups, 300, 5)
    low, high = np.quantile(ratios, 0.025, method="lower"), np.quantile(ratios, 0.975, method="higher")
    bootstrap = GroupBootstrap(groups, 300, 5)
    assert bootstrap.interval(values, -9, 9) == pytest.approx((mean - high * error, mean - low * error))
    for null in (mean - 2 * error, mean - error, mean, mean + 1.5 * error):
        t = (mean - null) / error
        below, above = bootstrap.studentised(values - null).p_values()
        assert below * 301 == pytest.approx(1 + (ratios <= t).sum(), abs=1)
        assert above * 301 == pytest.approx(1 + (ratios >= t).sum(), abs=1)


def test_p_of_the_mean_agrees_with_students_t_for_normal_values():
    values = norm.ppf((np.arange(200) + 0.5) / 200)
    draws = GroupBootstrap(np.arange(200), 10_000, 0)
    for mean in (-0.15, -0.1, 0.05, 0.12):
        less, greater = (ttest_1samp(values + mean, 0, alternative=side).pvalue for side in ("less", "greater"))
        assert draws.studentised(values + mean).p_values() == pytest.approx((less, greater), rel=0.15)


def test_p_is_below_alpha_where_the_interval_excludes_0():
    rng = np.random.default_rng(2)
    excluded = []
    for shift in np.repeat(np.linspace(-0.5, 0.5, 11), 10):
        values = rng.exponential(1, 30) - 1 + shift
        mean = GroupBootstrap(np.arange(30), 200, 0).studentised(values)
        low, high = mean.interval(-99, 99)
        below, above = mean.p_values()
        assert (below < 0.025, above < 0.025) == (high < 0, low > 0)
        excluded.append(not low <= 0 <= high)
    assert 20 < sum(excluded) < 90


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
    assert draws.studentised(np.full(30, 0.7)).p_values() == (1, pytest.approx(1 / 201))
    assert draws.studentised(np.zeros(30)).p_values() == (1, 1)
    alone = np.full(30, np.nan)
    alone[4] = 0.5
    assert np.isnan(draws.interval(alone, 0, 1)).all()
    assert np.isnan(draws.studentised(alone).p_values()).all()
    # One image of 30 is wrong: most draws have no spread, the interval is neither a point nor everything.
    low, high = draws.interval(np.array([0.0, *[1.0] * 29]), 0, 1)
    assert 0.85 < low < 29 / 30
    assert high == 1
    # Half a spike of 30 is nothing to rely on: Student's t of one value among zeros is 1.
    assert min(draws.studentised(np.array([1.0, *[0.0] * 29])).p_values()) == pytest.approx(student.sf(1, 29), abs=0.01)


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
    assert found.p_wilcoxon == pytest.approx(wilcoxon([0.0, 0.3, 0.2], zero_method="zsplit").pvalue)
    assert found.p == max(found.p_wilcoxon, found.p_mean)


def test_wilcoxon_sees_group_means_and_equal_scores_are_no_evidence():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(30), rng.integers(1, 5, 30))
    a, b = rng.random((2, len(groups)))
    means = [np.mean((a - b)[groups == g]) for g in range(30)]
    bootstrap_ = GroupBootstrap(groups, 100, 0)
    assert compare(a, b, bootstrap_).p_wilcoxon == pytest.approx(wilcoxon(means, zero_method="zsplit").pvalue)
    same = compare(a, a, bootstrap_)
    assert (same.difference, same.low, same.high, same.p_wilcoxon, same.p_mean, same.p) == (0, 0, 0, 1, 1, 1)
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


def test_tests_that_point_to_different_sides_are_no_claim():
    rng = np.random.default_rng(0)
    # a is a little worse on 80 images and far better on 20.
    differences = np.r_[-rng.uniform(0.005, 0.02, 80), rng.uniform(0.4, 0.6, 20)]
    assert wilcoxon(differences, alternative="less").pvalue < 0.01
    b = np.full(100, 0.4)
    found = compare(b + differences, b, GroupBootstrap(np.arange(100), 1000, 0))
    assert found.low > 0.05
    assert max(found.p_wilcoxon, found.p_mean) < 0.05
    assert found.p > 0.95
    (verdict,) = judge([found])
    assert verdict.claim == "no claim"
    assert verdict.reason == "Holm p ≥ 0.05: ranks and interval point to different sides"


def test_p_combined_is_the_larger_of_both_on_the_better_side():
    rng = np.random.default_rng(7)
    bootstrap_ = GroupBootstrap(np.arange(40), 500, 0)
    for shift in (0, 0.1, 0.2, 0.4):
        differences = rng.normal(shift, 0.5, 40)
        found = compare(differences, np.zeros(40), bootstrap_)
        ranks = [wilcoxon(differences, alternative=side).pvalue for side in ("less", "greater")]
        mean = bootstrap_.studentised(differences).p_values()
        assert found.p_mean == min(2 * min(mean), 1)
        assert found.p == pytest.approx(min(2 * min(map(max, zip(ranks, mean, strict=True))), 1))


def comparison(p, low, high, n_groups=50):
    return Comparison(100, n_groups, 0.6, 0.5, (low + high) / 2, low, high, p / 2, p, p)


def test_a_claim_needs_a_corrected_p_below_alpha_and_enough_groups():
    cases = [
        comparison(0.001, 0.01, 0.2),
        comparison(0.001, -0.2, -0.01),
        comparison(0.06, -0.01, 0.2),
        comparison(0.04, 0.01, 0.2),
        comparison(0.001, 0.01, 0.2, n_groups=19),
        comparison(np.nan, np.nan, np.nan, n_groups=0),
    ]
    verdicts = judge(cases)
    assert [v.claim for v in verdicts] == [
        "a better", "b better", "no claim", "no claim", "too few groups", "too few groups",
    ]  # fmt: skip
    assert verdicts[0].p_holm == pytest.approx(0.005)
    assert verdicts[2].reason == "Holm p ≥ 0.05, interval includes 0"
    assert verdicts[3].reason == "Holm p ≥ 0.05"
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
    plain, found = share(simulated.power, n, icc=0.0, n=500, per_group=1, k=2, gain=0.03)
    assert found * n >= binom.ppf(0.001, n, 0.8)
    assert found == pytest.approx(plain, abs=0.02), "one comparison pays nothing for what a family needs"
    assert share(simulated.power, 20, icc=0.0, n=19, per_group=1, k=2, gain=0.3).tolist() == [1, 0]


@pytest.mark.parametrize("name", list(simulated.DISTRIBUTIONS))
def test_intervals_cover_the_truth(name):
    n = 150
    (covered,) = share(simulated.coverage, n, name=name, n_groups=50)
    assert binom.ppf(0.001, n, 0.93) <= covered * n


def test_skewed_differences_of_equal_means_are_no_claim_though_a_family_is_tested():
    n = 60
    by_wilcoxon, uncorrected_interval, used = share(simulated.skewed, n, n_groups=300, k=8)
    most = binom.ppf(0.99, n, 0.07)
    assert by_wilcoxon == 1
    assert uncorrected_interval * n > most, "what correcting both tests is for"
    assert used * n <= most

"""Tests of differences against scipy, statsmodels, hand-computed cases and simulated studies."""

import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, ttest_ind_from_stats, wilcoxon
from statsmodels.stats.multitest import multipletests
from tiny_study import ROOT

from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.evaluation.statistics import Comparison, compare, holm, judge

sys.path.append(str(ROOT / "benchmarks"))
import statistical_tests as simulated

simulated.DRAWS = 1000  # for speed

SCORES = arrays(float, 24, elements=st.floats(0, 1, width=32))
GROUPS = np.repeat(np.arange(8), 3)


def test_a_comparison_by_hand():
    a, b = np.array([0.9, 0.7, 0.5, 0.4, np.nan]), np.array([0.8, 0.8, 0.2, 0.2, 0.3])
    found = compare(a, b, GroupBootstrap(np.array(["x", "x", "y", "z", "z"]), 100, 0))
    assert (found.n_images, found.n_groups) == (4, 3)
    assert (found.mean_a, found.mean_b, found.difference) == pytest.approx((0.625, 0.5, 0.125))
    # Group differences 0, 0.3, 0.2.
    assert found.p_wilcoxon == pytest.approx(wilcoxon([0.0, 0.3, 0.2], zero_method="pratt").pvalue)
    # All point one way, in three groups: only the worst case is left.
    assert found.p == found.p_worst_case > max(found.p_wilcoxon, found.p_mean)


def test_wilcoxon_sees_group_means_and_equal_scores_are_no_evidence():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(30), rng.integers(1, 5, 30))
    a, b = rng.random((2, len(groups)))
    means = [np.mean((a - b)[groups == g]) for g in range(30)]
    bootstrap_ = GroupBootstrap(groups, 100, 0)
    assert compare(a, b, bootstrap_).p_wilcoxon == pytest.approx(wilcoxon(means, zero_method="pratt").pvalue)
    same = compare(a, a, bootstrap_)
    assert (same.difference, same.p_wilcoxon, same.p_mean, same.p) == (0, 1, 1, 1)
    assert judge([same])[0].claim == "identical"
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
@example(np.zeros(24), np.r_[0.0, np.ones(23)], 0.08708632538464312)
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
    bootstrap_ = GroupBootstrap(np.arange(60), 500, 0)
    for shift in (0, 0.1, 0.2, 0.4):
        differences = rng.normal(shift, 0.5, 60)
        found = compare(differences, np.zeros(60), bootstrap_)
        ranks = [wilcoxon(differences, alternative=side).pvalue for side in ("less", "greater")]
        mean = bootstrap_.studentised(*bootstrap_.totals(differences)).p_values()
        assert found.p_mean == min(2 * min(mean), 1)
        assert found.p == pytest.approx(min(2 * min(map(max, zip(ranks, mean, strict=True))), 1))


def comparison(p, low, high, n_groups=50, **fields):
    values = dict.fromkeys(Comparison.__annotations__, np.nan) | {
        "n_images": 100, "n_groups": n_groups, "n_images_differ": n_groups, "n_groups_differ": n_groups,
        "mean_a": 0.6, "mean_b": 0.5, "difference": (low + high) / 2, "low": low, "high": high,
        "p_wilcoxon": p / 2, "p_mean": p, "p": p, "smallest_p": 0.001,
    }  # fmt: skip
    return Comparison(**values | fields)


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
    assert [v.at_draw_limit for v in verdicts] == [True, True, False, False, True, False]
    assert verdicts[2].reason == "Holm p ≥ 0.05, interval includes 0"
    assert verdicts[3].reason == "Holm p ≥ 0.05"
    assert judge([comparison(0.04, 0.01, 0.2)])[0].claim == "a better"
    assert judge(cases + [comparison(0.04, 0.01, 0.2)] * 9)[0].claim == "a better"
    assert judge([]) == []


def test_groups_that_do_not_differ_are_no_evidence():
    """Clean images that both models get right."""
    draws = GroupBootstrap(np.arange(300), 1000, 0)
    claims = {}
    for repaired in (0, 5, 19, 20, 40):
        found = compare(np.repeat([1.0, 0.0], [repaired, 300 - repaired]), np.zeros(300), draws)
        assert found.n_groups_differ == repaired
        (verdict,) = judge([found])
        claims[repaired] = verdict.claim, verdict.reason
    assert claims[0] == ("identical", "equal on every image")
    assert claims[19] == ("too few groups", "19 of 300 groups differ; at least 20 are needed")
    assert [claims[k][0] for k in (5, 20, 40)] == ["too few groups", "a better", "a better"]


def test_differences_that_cancel_within_groups_are_not_identical_experiments():
    a, b = np.tile([0.4, 0.6], 25), np.tile([0.6, 0.4], 25)
    (verdict,) = judge([compare(a, b, GroupBootstrap(np.repeat(np.arange(25), 2), 200, 0))])
    assert (verdict.claim, verdict.reason) == (
        "too few groups", "0 of 25 groups differ; at least 20 are needed",
    )  # fmt: skip


@pytest.mark.parametrize(("n", "gain", "claim"), [(20, 0.02, "no claim"), (49, 0.02, "no claim"),
                                                  (50, 0.02, "a better"), (20, 0.5, "a better")])  # fmt: skip
def test_few_groups_may_lack_the_rare_failure(n, gain, claim):
    base = 0.3 + 0.01 * np.random.default_rng(1).random(n)
    found = compare(
        base + gain + 0.002 * np.random.default_rng(2).random(n), base, GroupBootstrap(np.arange(n), 1000, 0)
    )
    assert max(found.p_wilcoxon, found.p_mean) < 0.01
    (verdict,) = judge([found])
    assert verdict.claim == claim
    assert ("rare failure" in verdict.reason) == (claim == "no claim")


def test_few_groups_that_have_failures_of_either_side_are_tested_as_many():
    rng = np.random.default_rng(4)
    differences = np.r_[rng.uniform(0.05, 0.15, 25), rng.uniform(-0.12, -0.08, 5)]
    against = -differences[25:].sum() / differences[:25].sum()
    assert 0.15 < against < 0.25
    found = compare(differences, np.zeros(30), GroupBootstrap(np.arange(30), 1000, 0))
    assert np.isnan(found.p_worst_case)
    assert judge([found])[0].claim == "a better"


def test_the_variance_of_trainings_is_that_of_welchs_test_where_images_tell_all():
    """With images that all say the same, only trainings are left: Welch's t test of their means."""
    a, b = np.array([0.70, 0.74, 0.75]), np.array([0.66, 0.65, 0.69, 0.64])
    images = 1e-6 * np.random.default_rng(0).random(60)
    draws = GroupBootstrap(np.arange(60), 2000, 0)
    found = compare(a[:, None] + images, b[:, None] + 0 * images, draws)
    expected = ttest_ind_from_stats(a.mean(), a.std(ddof=1), 3, b.mean(), b.std(ddof=1), 4, equal_var=False).pvalue
    assert found.p_seeds == pytest.approx(expected, rel=1e-3)
    assert found.p == found.p_seeds
    assert (found.n_seeds_a, found.n_seeds_b) == (3, 4)
    assert found.high - found.low > 0.05
    # With one training on a side nothing is known of its chance; a method that is not trained has none.
    assert np.isnan(compare(a[:, None] + images, b[:1, None] + 0 * images, draws).p_seeds)
    untrained = compare(a[:, None] + images, b[:1, None] + 0 * images, draws, trained=(True, False))
    assert untrained.p_seeds < 0.05
    assert untrained.training_variance == pytest.approx(a.var(ddof=1) / 3)


def test_not_worse_takes_more_images_than_have_no_failure():
    """60 equal images do not show that fewer than 2 % of others fail: 0.98^60 is 0.3, 0.98^200 is 0.02."""
    p = {}
    for n in (60, 200):
        draws = GroupBootstrap(np.arange(n), 2000, 0)
        same = np.full(n, 0.8)
        p[n] = compare(same, same, draws, margin=0.02).p_not_worse
        assert p[n] == pytest.approx(0.98**n, abs=0.03)
        assert compare(same, same - 0.03, draws, margin=0.02).p_not_worse == 1, "worse by more than the margin"
        assert np.isnan(compare(same, same, draws).p_not_worse)
    assert p[200] < 0.05 < p[60]


def test_tests_of_being_not_worse_are_corrected_with_the_others():
    cases = [comparison(0.02, 0.01, 0.2, p_not_worse=0.01), comparison(0.04, 0.01, 0.2, p_not_worse=0.9)]
    expected = multipletests([0.02, 0.01, 0.04, 0.9], method="holm")[1]
    verdicts = judge(cases)
    assert [verdicts[0].p_holm, verdicts[0].p_not_worse, verdicts[1].p_holm] == pytest.approx(expected[:3])


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


def test_skewed_differences_of_equal_means_are_no_claim_though_a_family_is_tested():
    n = 60
    by_wilcoxon, uncorrected_interval, used = share(simulated.false_claims_skewed, n, n_groups=300, k=8)
    most = binom.ppf(0.99, n, 0.07)
    assert by_wilcoxon == 1
    assert uncorrected_interval * n > most, "what correcting both tests is for"
    assert used * n <= most


@pytest.mark.parametrize(("n_groups", "ties"), [(20, 0.0), (45, 0.0), (60, 0.8), (100, 0.8), (100, 0.9)])
def test_skewed_differences_of_few_groups_that_differ_are_no_claim(n_groups, ties):
    n = 60
    used = share(simulated.false_claims_skewed, n, n_groups=n_groups, k=2, ties=ties)[2]
    assert used * n <= binom.ppf(0.99, n, 0.05)


def test_ties_cost_little_power():
    split, used = share(simulated.power_with_ties, 40, n=300, ties=0.8)
    assert used > 0.5
    assert used > split, "what ranking the ties is for"


def test_trainings_of_one_method_seldom_differ():
    n = 60
    averaged, used = share(simulated.claims_between_seeds, n, n=2000, seeds=3, gain=0.0)
    assert averaged > 0.3, "what the variance of training is for"
    assert used * n <= binom.ppf(0.99, n, 0.07)


@pytest.mark.parametrize("shape", ["normal", "90 % ties", "2 % total failures"])
def test_what_is_worse_by_the_margin_seldom_passes(shape):
    n = 80
    assert share(simulated.false_acceptance, n, n=300, shape=shape)[0] * n <= binom.ppf(0.99, n, 0.05)

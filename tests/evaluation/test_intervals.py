"""Confidence intervals against exact ones, plain loops, hand-computed cases and simulations."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import beta, binom, binomtest, norm, ttest_1samp
from scipy.stats import t as student
from tiny_study import ROOT

from defectbench.evaluation.intervals import GroupBootstrap, count_different, effective_groups

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
    studentised = bootstrap.studentised(*bootstrap.totals(values))
    assert studentised.interval(-9, 9) == pytest.approx((mean - high * error, mean - low * error))
    for null in (mean - 2 * error, mean - error, mean, mean + 1.5 * error):
        t = (mean - null) / error
        below, above = studentised.p_values(null)
        assert below * 301 == pytest.approx(1 + (ratios <= t).sum(), abs=1)
        assert above * 301 == pytest.approx(1 + (ratios >= t).sum(), abs=1)


def test_p_of_the_mean_agrees_with_students_t_for_normal_values():
    values = norm.ppf((np.arange(200) + 0.5) / 200)
    draws = GroupBootstrap(np.arange(200), 10_000, 0)
    for mean in (-0.15, -0.1, 0.05, 0.12):
        less, greater = (ttest_1samp(values + mean, 0, alternative=side).pvalue for side in ("less", "greater"))
        assert draws.studentised(*draws.totals(values + mean)).p_values() == pytest.approx((less, greater), rel=0.15)


def test_p_is_below_alpha_where_the_interval_excludes_0():
    rng = np.random.default_rng(2)
    excluded = []
    for shift in np.repeat(np.linspace(-0.5, 0.5, 11), 10):
        values = rng.exponential(1, 30) - 1 + shift
        draws = GroupBootstrap(np.arange(30), 200, 0)
        mean = draws.studentised(*draws.totals(values))
        low, high = mean.interval(-99, 99)
        below, above = mean.p_values()
        assert (below < 0.025, above < 0.025) == (high < 0, low > 0)
        excluded.append(not low <= 0 <= high)
    assert 20 < sum(excluded) < 90


@pytest.mark.parametrize(("right", "n"), [(20, 20), (60, 60), (299, 300), (57, 60), (0, 60), (30, 60), (1, 20)])
def test_a_share_of_single_images_has_the_interval_of_clopper_and_pearson(right, n):
    expected = binomtest(right, n).proportion_ci(method="exact")
    draws = GroupBootstrap(np.arange(n), 20_000, 0)
    assert draws.interval(np.repeat([1.0, 0.0], [right, n - right])) == pytest.approx(tuple(expected), abs=0.005)


def test_equal_scores_leave_room_for_what_was_not_seen():
    draws = GroupBootstrap(np.arange(30), 20_000, 0)
    unseen = beta.ppf(0.975, 1, 30)  # weight of one group among 31
    expected = 0.7 * (1 - unseen), 0.7 + 0.3 * unseen
    assert draws.interval(np.full(30, 0.7)) == pytest.approx(expected, abs=0.005)
    assert draws.difference_interval(np.zeros(30)) == pytest.approx((-unseen, unseen), abs=0.005)


def test_where_one_group_holds_most_images_the_interval_is_not_narrower_than_the_studentised_one():
    groups = np.repeat(np.arange(60), [200, *[3] * 59])
    values = np.random.default_rng(0).beta(5, 2, len(groups))
    draws = GroupBootstrap(groups, 1000, 0)
    low, high = draws.interval(values)
    first, last = draws.studentised(*draws.totals(values)).interval(0, 1)
    assert (low, high) == (min(low, first), max(high, last))
    assert effective_groups(np.array([200, *[3] * 59])) == pytest.approx(377**2 / (200**2 + 59 * 9))


def test_effective_groups_by_hand():
    assert effective_groups(np.full(7, 4)) == 7
    assert effective_groups(np.array([3, 0, 1])) == pytest.approx(16 / 10)
    assert effective_groups(np.array([0])) == 0


def test_a_ratio_of_totals_of_equal_denominators_is_a_mean():
    values = np.random.default_rng(5).random(40)
    draws = GroupBootstrap(np.arange(40), 500, 0)
    assert draws.ratio_interval(7 * values, np.full(40, 7.0)) == pytest.approx(draws.interval(values))


def test_the_interval_of_a_difference_is_that_of_its_test_where_enough_groups_differ():
    rng = np.random.default_rng(6)
    draws = GroupBootstrap(np.arange(60), 500, 0)
    for n_differ in (19, 20, 60):
        values = np.r_[rng.normal(0.1, 0.1, n_differ), np.zeros(60 - n_differ)]
        sums, sizes = draws.totals(values)
        assert count_different(sums, sizes) == n_differ
        found = draws.difference_interval(values)
        if n_differ < 20:
            assert found == draws.worst_case(sums, sizes).interval(-1, 1)
        else:
            assert found == draws.studentised(sums, sizes).interval(-1, 1)
        assert draws.difference_interval(100 * values, 100) == pytest.approx(tuple(100 * end for end in found))
    # Three large differences among many small ones: a bootstrap alone can say nearly anything.
    spiked = np.r_[np.ones(3), np.linspace(-0.02, 0.02, 57)]
    sums, sizes = draws.totals(spiked)
    assert draws.studentised(sums, sizes).interval(-1, 1)[1] > 0.9
    assert draws.difference_interval(spiked)[1] == draws.worst_case(sums, sizes).interval(-1, 1)[1] < 0.15


def test_p_of_the_worst_case_is_below_alpha_where_its_interval_excludes_the_null():
    rng = np.random.default_rng(8)
    draws = GroupBootstrap(np.arange(40), 500, 0)
    excluded = []
    for shift in np.linspace(-0.4, 0.4, 41):
        worst = draws.worst_case(*draws.totals(np.clip(rng.normal(shift, 0.1, 40), -1, 1)))
        low, high = worst.interval(-1, 1)
        below, above = worst.p_values(-1, 1, 0.05)
        assert (below < 0.025, above < 0.025) == (high < 0.05, low > 0.05)
        excluded.append(not low <= 0.05 <= high)
    assert 5 < sum(excluded) < 36


def test_copies_of_images_in_their_groups_add_no_certainty():
    values = np.random.default_rng(3).random(40)
    once = GroupBootstrap(np.arange(40), 500, 0).interval(values, 0, 1)
    copied = GroupBootstrap(np.repeat(np.arange(40), 5), 500, 0).interval(np.repeat(values, 5), 0, 1)
    assert copied == pytest.approx(once)


def test_degenerate_samples():
    draws = GroupBootstrap(np.arange(30), 200, 0)

    def studentised(values):
        return draws.studentised(*draws.totals(values))

    assert studentised(np.full(30, 0.7)).p_values() == (1, pytest.approx(1 / 201))
    assert studentised(np.zeros(30)).p_values() == (1, 1)
    alone = np.full(30, np.nan)
    alone[4] = 0.5
    low, high = draws.interval(alone)
    assert low < 0.02 < 0.98 < high
    assert np.isnan(draws.interval(np.full(30, np.nan))).all()
    assert np.isnan(studentised(alone).p_values()).all()
    # Half a spike of 30 is nothing to rely on: Student's t of one value among zeros is 1.
    assert min(studentised(np.array([1.0, *[0.0] * 29])).p_values()) == pytest.approx(student.sf(1, 29), abs=0.01)


@given(SCORES, st.randoms())
def test_the_order_of_images_does_not_matter(values, random):
    order = list(range(24))
    random.shuffle(order)
    one = GroupBootstrap(GROUPS, 100, 1).interval(values, 0, 1)
    other = GroupBootstrap(GROUPS[order], 100, 1).interval(values[order], 0, 1)
    assert other == pytest.approx(one, abs=1e-6)


def share(function, simulations, **case):
    return np.mean([function(seed, **case) for seed in range(simulations)], axis=0)


@pytest.mark.parametrize("layout", list(simulated.LAYOUTS))
@pytest.mark.parametrize("name", ["0 or 1, 98% of 1", "3% zeros, 90% ones", "Beta of mean 0.7"])
@pytest.mark.parametrize("n_groups", [20, 60])
def test_intervals_cover_the_truth(name, layout, n_groups):
    n = 100
    covered = share(simulated.coverage, n, name=name, layout=layout, n_groups=n_groups)[0]
    assert binom.ppf(0.001, n, 0.94) <= covered * n


@pytest.mark.parametrize("ratio", ["iou_dataset", "Recall"])
def test_intervals_of_ratios_cover_the_truth(ratio):
    n = 100
    covered, _ = share(simulated.ratio_coverage, n, ratio=ratio, skill=2.5, n_groups=60)
    assert binom.ppf(0.001, n, 0.94) <= covered * n

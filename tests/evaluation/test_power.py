"""What is said of a test's power, against formulas and simulated studies."""

import sys

import numpy as np
import pytest
from scipy.stats import norm
from tiny_study import ROOT

from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.evaluation.power import Study, groups_needed, smallest_difference

sys.path.append(str(ROOT / "benchmarks"))
import statistical_tests as simulated


def study(differences, n_comparisons=1, variance=0.0):
    n = len(differences)
    return Study.of(differences, np.zeros(n), GroupBootstrap(np.arange(n), 1, 0), n_comparisons, variance)


def normal(n, mean, sd=0.15):
    values = norm.ppf((np.arange(n) + 0.5) / n)
    return mean + sd * (values - values.mean()) / values.std(ddof=1)


@pytest.mark.parametrize("n_comparisons", [1, 10])
def test_normal_differences_need_what_the_formula_says(n_comparisons):
    reach = norm.ppf(1 - 0.025 / n_comparisons) + norm.ppf(0.8)
    pilot = study(normal(150, 0.02), n_comparisons)
    assert groups_needed(pilot) == pytest.approx((reach * 0.15 / 0.02) ** 2, rel=0.15)
    assert smallest_difference(pilot) == pytest.approx(reach * 0.15 / 150**0.5, rel=0.15)


def test_nothing_is_predicted_where_little_is_known():
    assert np.isnan(groups_needed(study(np.zeros(60))))
    assert np.isnan(groups_needed(study(normal(60, 0.001))))
    assert np.isnan(smallest_difference(study(np.r_[normal(10, 0.1), np.zeros(50)])))


def test_more_images_do_not_help_against_the_chance_of_training():
    pilot = normal(150, 0.02)
    assert groups_needed(study(pilot, variance=0.004**2)) > groups_needed(study(pilot))
    assert np.isnan(groups_needed(study(pilot, variance=0.02**2)))


def test_groups_of_several_images_count_once():
    pilot = normal(150, 0.03)
    whole = GroupBootstrap(np.repeat(np.arange(150), 4), 1, 0)
    copies = Study.of(np.repeat(pilot, 4), np.zeros(600), whole)
    assert groups_needed(copies) == pytest.approx(groups_needed(study(pilot)))


def test_the_images_needed_find_the_difference_with_the_power_that_is_said():
    needed, smallest = np.nanmedian(
        [simulated.prediction_of_power(seed, n=200, ties=0.5, gain=0.04) for seed in range(15)], axis=0
    )
    for n, gain in ((round(needed), 0.04), (200, smallest / 0.5)):
        found = np.mean([simulated.detection(seed, n=n, ties=0.5, gain=gain) for seed in range(60)])
        assert 0.65 < found < 0.95

"""Power laws: known ones are found again, answers stay inside the range of the trainings, words claim no more."""

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress
from scipy.stats import t as student
from statsmodels.api import OLS, add_constant
from synthetic_study import write_study
from tiny_study import ROOT

from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.reporting.power_law import CURVES, FITS, fit_law, fit_series, fit_trainings, law_sentence
from defectbench.reporting.records import read_records

sys.path.append(str(ROOT / "benchmarks"))
from power_laws import power_law_claims

SIZES = np.array([50, 100, 200, 400])


@given(st.floats(0.3, 3), st.floats(0.05, 1.0))
def test_a_known_law_is_found_and_its_95_percent_point_is_where_the_law_says(factor, exponent):
    scores = 1 - factor * SIZES**-exponent
    if scores.min() < 0.01:
        return
    law = fit_law(SIZES, scores)
    np.testing.assert_allclose([law.factor, law.exponent], [factor, exponent], rtol=1e-6)
    n = float(law.enough(400, 50))
    if np.isfinite(n):
        assert 50 <= n <= 400
        assert 1 - factor * n**-exponent == pytest.approx(0.95 * scores[-1])
    else:
        assert scores[0] > 0.95 * scores[-1]


def test_the_fit_is_least_squares_of_logarithms():
    scores = np.array([0.5, 0.61, 0.6, 0.75])
    expected = linregress(np.log(SIZES), np.log(1 - scores))
    law = fit_law(SIZES, np.stack([scores, scores]))
    np.testing.assert_allclose(law.exponent, -expected.slope)
    np.testing.assert_allclose(law.factor, np.exp(expected.intercept))


def test_only_models_with_three_numbers_of_labels_are_fitted(tmp_path):
    study = write_study(tmp_path, 21, 40)
    results = pd.read_parquet(tmp_path / "results.parquet")
    records = read_records(results, study.experiments)
    fits, curves = fit_series(results, records, 100, 1)
    assert list(fits.columns) == list(FITS)
    assert list(curves.columns) == list(CURVES)
    automatic = results[results["track"] == "automatic"]
    sizes = automatic.groupby("model")["n_labels_train"].nunique()
    assert len(fits) == (sizes >= 3).sum() > 0
    for row in fits.to_dict("records"):
        own = automatic[automatic["model"] == row["series"].split("-")[0]]
        means = own.groupby("n_labels_train")["dice_all"].mean()
        expected = linregress(np.log(means.index.to_numpy(float)), np.log(1 - means))
        assert row["exponent"] == pytest.approx(-expected.slope)
        # Made-up models have one training at each size.
        assert not row["tested"]
        assert pd.isna([row["exponent_lo"], row["p"], row["n_enough"]]).all()
        curve = curves[curves["series"] == row["series"]]
        assert curve["n_labels"].iloc[[0, -1]].tolist() == pytest.approx([row["n_least"], row["n_full"]])
    none, no_curves = fit_series(results[results["track"] == "oracle"], records, 100, 1)
    assert none.empty
    assert no_curves.empty


def scores_of(labels, seeds, exponent, seed_sd, n_images=400, seed=0):
    """Numbers of labels (T,) and scores (T, N) of trainings whose error is 0.25 at 100 labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(labels, seeds)
    means = 1 - 0.25 * (labels / 100) ** -exponent + rng.normal(0, seed_sd, len(labels))
    return labels, means[:, None] + rng.normal(0, 0.2, n_images) + rng.normal(0, 0.1, (len(labels), n_images))


IMAGES = GroupBootstrap(np.arange(400).astype(str), 2000, 0)


def test_without_noise_of_images_the_interval_is_that_of_a_regression_line():
    labels, scores = scores_of([100, 200, 400], 3, 0.3, 0.02)
    scores[:] = scores.mean(axis=1, keepdims=True)
    fit = fit_trainings(labels, scores, IMAGES, 0)
    line = linregress(np.log(labels), np.log(1 - scores[:, 0]))
    ols = OLS(np.log(1 - scores[:, 0]), add_constant(np.log(labels)))
    error = max(line.stderr, ols.fit(cov_type="HC3").bse[1])
    half = student.ppf(0.975, 7) * error
    assert fit.interval == pytest.approx((-line.slope - half, -line.slope + half))
    assert fit.p == pytest.approx(2 * student.sf(abs(line.slope) / error, 7))
    # The draws of laws have the same quantiles, and in the middle those of the line's mean.
    assert np.quantile(fit.draws.exponent, (0.025, 0.975)) == pytest.approx(fit.interval, abs=0.1 * half)
    middle = np.exp(np.log(labels).mean())
    residual = np.log(1 - scores[:, 0]) - line.intercept - line.slope * np.log(labels)
    error = np.sqrt((residual**2).sum() / 7 / 9)
    expected = 1 - np.exp(line.intercept + line.slope * np.log(middle) + student.ppf((0.975, 0.025), 7) * error)
    drawn = fit.draws.score(np.array([middle]))[:, 0]
    assert np.quantile(drawn, (0.025, 0.975)) == pytest.approx(expected, abs=0.002)


def test_images_add_to_the_error_of_the_trainings():
    labels, scores = scores_of([100, 200, 400], 2, 0.3, 0.01)
    fit = fit_trainings(labels, scores, IMAGES, 0)
    assert fit.error > np.std(fit_law(labels, np.column_stack([IMAGES.means(r) for r in scores])).exponent, ddof=1)
    # By the truth: in log error, training has 0.01 and the images of a training 0.1/20, over the errors at its size.
    error = 0.25 * (labels / 100) ** -0.3
    x = np.log(labels) - np.log(labels).mean()
    expected = np.sqrt((x**2 * (0.01**2 + 0.005**2) / error**2).sum()) / (x**2).sum()
    found = [fit_trainings(*scores_of([100, 200, 400], 2, 0.3, 0.01, seed=s), IMAGES, 0).error for s in range(40)]
    # The larger one of two estimates is above it.
    assert expected < np.sqrt(np.mean(np.square(found))) < 1.5 * expected


@pytest.mark.parametrize(("seeds", "groups"), [(1, 400), ([2, 2, 1], 400), (2, 19)])
def test_single_trainings_and_few_groups_are_described_not_tested(seeds, groups):
    labels, scores = scores_of([100, 200, 400], seeds, 0.5, 0.0)
    fit = fit_trainings(labels, scores, GroupBootstrap(np.arange(400) % groups, 200, 0), 0)
    assert not fit.tested
    assert np.isnan([fit.error, fit.p, *fit.interval, *fit.draws.exponent]).all()
    assert fit.law.exponent == pytest.approx(0.5, abs=0.1)


def test_equal_scores_show_nothing():
    labels, _ = scores_of([100, 200, 400], 2, 0.3, 0.0)
    assert fit_trainings(labels, np.full((6, 400), 0.5), IMAGES, 0).p == 1


@pytest.mark.parametrize("n_seeds", [1, 2, 3])
@pytest.mark.parametrize("seed_sds", [(0.01, 0.01, 0.01), (0.03, 0.01, 0.01)])
def test_labels_that_do_not_help_are_hardly_ever_said_to_help(n_seeds, seed_sds):
    """Five models, seeds with a sd of 1 pp, 2,000 images; by images alone a claim in 87 % of studies."""
    found = power_law_claims(2000, n_seeds, seed_sds, simulations=40)
    assert found["any claim"] <= 0.05
    assert found["any by images"] > 0.5
    assert found["alone"] <= 0.05
    assert found["described"] == (n_seeds == 1)


def test_labels_that_help_are_found():
    assert power_law_claims(2000, 3, (0.01, 0.01, 0.01), exponent=0.3, simulations=10)["claimed"] > 0.9


ROW = {"label": "unet", "metric": "dice_all", "n_sizes": 3, "n_trainings": 6, "n_least": 100, "n_full": 1600}
ROW |= {"tested": True, "exponent": 0.3, "exponent_lo": 0.2, "exponent_hi": 0.4, "p_holm": 0.01, "n_enough": 900}
ROW |= {"n_enough_lo": 700, "n_enough_hi": 1100}


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        ({"p_holm": 0.06}, "that more labels help is not shown", "95%"),
        ({"exponent": -0.3, "exponent_lo": -0.4, "exponent_hi": -0.2}, "that more labels help is not shown", "95%"),
        ({}, "takes 900 labels [700, 1,100].", "not shown"),
        ({"n_enough_lo": np.nan, "n_enough_hi": np.nan}, "takes 900 labels (interval not within", "nan"),
        ({"n_enough": np.nan}, "is outside that range", "takes"),
        ({"tested": False, "exponent_lo": np.nan, "p_holm": np.nan}, "Described, not tested", "nan"),
    ],
)
def test_words_claim_what_the_tests_allow(changes, said, unsaid):
    row = ROW
    text = law_sentence(row | changes)
    assert said in text
    assert unsaid not in text

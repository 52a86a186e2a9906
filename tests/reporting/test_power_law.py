"""Power laws: known ones are found again, answers stay inside the range of the trainings, words claim no more."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress
from synthetic_study import write_study

from defectbench.reporting.power_law import CURVES, FITS, fit_law, fit_series, law_sentence
from defectbench.reporting.records import read_records

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
        assert row["exponent_lo"] <= row["exponent"] <= row["exponent_hi"]
        curve = curves[curves["series"] == row["series"]]
        assert curve["n_labels"].iloc[[0, -1]].tolist() == pytest.approx([row["n_least"], row["n_full"]])
    none, no_curves = fit_series(results[results["track"] == "oracle"], records, 100, 1)
    assert none.empty
    assert no_curves.empty


ROW = {"label": "unet", "metric": "dice_all", "n_sizes": 3, "n_least": 100, "n_full": 1600, "exponent": 0.3}


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        ({"exponent_lo": -0.1}, "that more labels help is not shown", "95%"),
        ({}, "takes 900 labels [700, 1,100].", "not shown"),
        ({"n_enough_lo": np.nan, "n_enough_hi": np.nan}, "takes 900 labels (interval not within", "nan"),
        ({"n_enough": np.nan}, "is outside that range", "takes"),
    ],
)
def test_words_claim_what_the_intervals_allow(changes, said, unsaid):
    row = ROW | {"exponent_lo": 0.2, "exponent_hi": 0.4, "n_enough": 900, "n_enough_lo": 700, "n_enough_hi": 1100}
    text = law_sentence(row | changes)
    assert said in text
    assert unsaid not in text

"""Ignored pixels take part in no metric, no threshold and no finding of the label audit."""

import numpy as np
import pandas as pd
import pytest
from evaluation_fixtures import CLASSES, ignore, make_dataset, noisy_maps, random_truth
from sklearn.metrics import average_precision_score

from defectbench.config.base import MERGED
from defectbench.config.calibrate import CalibrateSettings, PostProcessingSettings
from defectbench.config.score import ScoreSettings
from defectbench.evaluation import policies
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.cross_validation import count_folds
from defectbench.evaluation.gate import choose_gate
from defectbench.evaluation.label_audit import find_regions
from defectbench.evaluation.members import MemberMaps, fit_weights, select_members
from defectbench.evaluation.scoring import score
from defectbench.evaluation.summary import summarise
from defectbench.evaluation.truth import ValidationData
from defectbench.inference.prediction_file import PredictionFile
from defectbench.metrics.codes import HALF, codes_from_logits, codes_from_probabilities

PLAIN = CalibrateSettings(post_processing=None)


def each(by_role, change):
    return {role: {image_id: change(array) for image_id, array in images.items()} for role, images in by_role.items()}


@pytest.mark.parametrize("merged", [True, False])
def test_ignored_columns_count_as_if_they_were_cut_off(tmp_path, merged):
    """At the images' edge, since boundaries, components and skeletons end there as at the edge of ignored pixels."""

    def blank(array):
        array = array.copy()
        array[..., -5:] = 0
        return array

    truth = each(random_truth(), blank)
    maps = noisy_maps(truth, merged=merged)
    assert any((codes[..., -5:] >= HALF).any() for images in maps.values() for codes in images.values())
    ignored = {
        image_id: np.arange(masks.shape[2]) >= masks.shape[2] - 5 + np.zeros((masks.shape[1], 1))
        for images in truth.values()
        for image_id, masks in images.items()
    }
    marked = ignore(make_dataset(tmp_path / "marked", truth), ignored)
    cut = make_dataset(tmp_path / "cut", each(truth, lambda array: array[..., :-5]))
    results = []
    for dataset, predicted in ((marked, maps), (cut, each(maps, lambda array: np.ascontiguousarray(array[..., :-5])))):
        val, test = dataset.predict_both(predicted, **({} if merged else {"classes": CLASSES}))
        calibration = calibrate(val, PLAIN)
        scores = score(val, test, calibration, ScoreSettings())
        folds = count_folds(val, {0: dict.fromkeys(val.header.classes, 100)}, dict.fromkeys(val.ids, 0))
        regions = [str(region) for region in find_regions(val, calibration)]
        gate = choose_gate(val, calibration)
        upside_down = {i: np.ascontiguousarray(codes[:, ::-1]) for i, codes in predicted["val"].items()}
        other = dataset.predict("val", upside_down, val.header.classes, name="other")
        members = MemberMaps([val, ValidationData(PredictionFile(other), val.truth)])
        chosen = select_members(members, 2), fit_weights(members, seed=1).tolist()
        tables = [getattr(scores, name) for name in ("per_image", "histograms", "pooled", "components", "froc")]
        metrics = summarise(scores, calibration, "", ScoreSettings())
        results.append((calibration, tables, metrics, folds, regions, gate, chosen))
    (calibration, tables, metrics, folds, *others), expected = results
    assert calibration == expected[0]
    assert [table.equals(other) for table, other in zip(tables, expected[1], strict=True)] == [True] * 5
    assert metrics == expected[2]
    pd.testing.assert_frame_equal(folds, expected[3])
    assert others == [*expected[4:]]


SHAPE = (5, 12)
TRUTH = np.zeros((1, *SHAPE), bool)
TRUTH[0, 1, :3] = True
IGNORED = np.zeros(SHAPE, bool)
IGNORED[3:] = True
P = np.full(SHAPE, 0.1)
P[1, 1:4] = 0.9  # two pixels of the defect, one beside it
P[2:, 8] = 0.8  # a false alarm of three pixels, two of them ignored
P[4, :6] = 0.99  # wholly ignored, and the highest of the image


@pytest.fixture
def by_hand(tmp_path):
    dataset = make_dataset(tmp_path, {"val": {"v.png": TRUTH}, "test": {"t.png": TRUTH}}, ("pits",))
    ignore(dataset, {"v.png": IGNORED, "t.png": IGNORED})
    maps = codes_from_probabilities(P[None])
    return dataset.predict_both({"val": {"v.png": maps}, "test": {"t.png": maps}})


@pytest.mark.filterwarnings("ignore::defectbench.evaluation.invariants.SuspiciousMetrics")
def test_every_metric_by_hand(by_hand):
    calibration = calibrate(by_hand[0], PLAIN)
    scores = score(*by_hand, calibration, ScoreSettings())
    metrics = summarise(scores, calibration, "", ScoreSettings())
    rows = scores.per_image.to_pandas().query("policy == 'at_0.5' and role == 'test'")
    (row,) = rows.to_dict("records")
    assert {name: row[name] for name in ("n_pixels", "n_truth", "tp", "fp", "fn")} == {
        "n_pixels": 36,
        "n_truth": 3,
        "tp": 2,
        "fp": 2,
        "fn": 1,
    }
    assert row["max_code"] == codes_from_probabilities(np.array([[0.9]])).item()
    assert [row[f"boundary_{name}"] for name in ("pred", "pred_hit", "truth", "truth_hit")] == [4, 3, 3, 3]
    assert [row[f"skeleton_{name}"] for name in ("pred", "pred_hit", "truth", "truth_hit")] == [4, 2, 3, 2]
    parts = scores.components.to_pandas().query("policy == 'at_0.5' and role == 'test'")
    assert sorted(parts.query("side == 'prediction'")["area"]) == [1, 3]
    assert parts.query("side == 'truth'")["area"].tolist() == [3]
    assert metrics["prevalence"] == 3 / 36
    assert metrics["n_pixels"] == 36
    expected = average_precision_score(TRUTH[0][~IGNORED], P[~IGNORED])
    assert metrics["AUPRC"] == pytest.approx(expected)
    assert metrics["test_mIoU_at_0.5"] == pytest.approx(2 / 5)
    assert by_hand[1].truth.count_ignored("test") == 24
    regions = find_regions(by_hand[0], calibration)
    assert sum(region.area for region in regions if region.side == "prediction") in (3, 4)


def test_post_processing_does_not_spread_into_them(tmp_path):
    """A closing fills the gap between two blobs; where it is ignored, the filling is no false alarm."""
    truth = np.zeros((1, 15, 40), bool)
    truth[0, 5:10, 6:28] = True
    gap = np.zeros((15, 40), bool)
    gap[:, 16:18] = True
    truth &= ~gap
    dataset = ignore(
        make_dataset(tmp_path, {"val": {"v.png": truth}, "test": {"t.png": truth}}, ("pits",)),
        {"v.png": gap, "t.png": gap},
    )
    maps = codes_from_logits(np.where(truth, 4.0, -4.0).astype(np.float32))
    val, test = dataset.predict_both({"val": {"v.png": maps}, "test": {"t.png": maps}})
    steps = PostProcessingSettings(
        opening_radii=[], closing_radii=[2], fill_holes=False, min_areas=[], thresholds=[], crf=[]
    )
    calibration = calibrate(val, CalibrateSettings(post_processing=steps))
    assert set(calibration.candidates[MERGED].values()) == {1.0}
    closing = {MERGED: calibration.post_processed[MERGED] | {"closing": 2}}
    closed = policies.masks(maps, type(calibration)(**vars(calibration) | {"post_processed": closing}), None, gap)
    assert not closed["post_processed"][0][gap].any()
    assert (closed["post_processed"] == truth).all()
    scores = score(val, test, calibration, ScoreSettings())
    assert scores.per_image.to_pandas()[["fp", "fn"]].to_numpy().max() == 0


def test_an_image_whose_defects_are_all_ignored_is_scored_as_clean(tmp_path):
    clean = np.zeros_like(TRUTH)
    truth = {"val": {"v.png": TRUTH}, "test": {"t.png": TRUTH, "u.png": clean}}
    dataset = ignore(make_dataset(tmp_path, truth, ("pits",)), dict.fromkeys(("v.png", "t.png", "u.png"), IGNORED))
    only_ignored = codes_from_probabilities(np.where(IGNORED, 0.9, 0.1)[None])
    maps = {"val": {"v.png": only_ignored}, "test": {"t.png": only_ignored, "u.png": only_ignored}}
    val, test = dataset.predict_both(maps)
    calibration = calibrate(val, PLAIN)
    frame = score(val, test, calibration, ScoreSettings()).per_image.to_pandas()
    (row,) = frame.query("policy == 'at_0.5' and image_id == 'u.png'").to_dict("records")
    assert (row["tp"], row["fp"], row["fn"], row["n_truth"]) == (0, 0, 0, 0)


def test_masks_of_raw_maps_are_those_of_scores(by_hand):
    """Pictures read the maps of the file, in which ignored pixels have codes."""
    val, test = by_hand
    raw, calibration = codes_from_probabilities(P[None]), calibrate(val, PLAIN)
    (sample,) = test
    assert (raw[0][IGNORED] >= HALF).any()
    masks = policies.masks(raw, calibration, None, IGNORED)
    for policy, expected in policies.masks(sample.codes, calibration, None, sample.ignored).items():
        np.testing.assert_array_equal(masks[policy], expected)
        assert not masks[policy][0][IGNORED].any()

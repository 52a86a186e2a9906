"""Policies: which masks each counts, how its metrics are called, and what a zero-shot method may owe to val labels."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import score as script
from evaluation_fixtures import CLASSES, make_dataset, noisy_maps, random_truth, write_run
from scipy import ndimage

from defectbench.config.base import MERGED
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.report import ResultsSettings
from defectbench.config.score import ScoreSettings
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.invariants import InvariantError, check_objective
from defectbench.evaluation.postprocessing import PostProcessing
from defectbench.evaluation.results import consolidate
from defectbench.evaluation.scoring import score
from defectbench.evaluation.summary import summarise
from defectbench.files import read_json, write_json
from defectbench.metrics.codes import threshold_code
from defectbench.metrics.definitions import METRICS
from defectbench.metrics.image_level import OPERATING_RATES
from defectbench.metrics.names import full_name


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path / "data", random_truth())


def scored(dataset, classes=CLASSES, zero_shot=False, **settings):
    val, test = dataset.predict_both(noisy_maps(dataset.truth, merged=classes == (MERGED,)), classes=classes)
    calibration = calibrate(val, CalibrateSettings(**settings))
    scores = score(val, test, calibration, ScoreSettings())
    return calibration, scores, summarise(scores, calibration, "digest", ScoreSettings(), zero_shot)


def test_post_processed_records_are_of_the_post_processed_masks_and_their_union(dataset):
    val, test = dataset.predict_both(noisy_maps(dataset.truth, merged=False), classes=CLASSES)
    calibration = calibrate(val, CalibrateSettings())
    calibration.post_processed["pits"] = {**asdict(PostProcessing(min_area=4)), "k": 100}
    calibration.post_processed["cracks"] = {**asdict(PostProcessing(min_area=0.02)), "k": 140}
    scores = score(val, test, calibration, ScoreSettings())
    frame = scores.per_image.to_pandas().set_index(["policy", "image_id", "class"]).loc["post_processed"]
    for image_id, codes in noisy_maps(dataset.truth, merged=False)["test"].items():
        masks = []
        for plane, k, least in zip(codes, (100, 140), (4, 0.02 * codes[0].size), strict=True):
            labels, _ = ndimage.label(plane >= threshold_code(k), np.ones((3, 3)))
            sizes = np.bincount(labels.ravel())
            masks.append((labels > 0) & (sizes[labels] >= least))
        truth = dataset.truth["test"][image_id]
        layers = dict(zip((*CLASSES, MERGED), [*masks, masks[0] | masks[1]], strict=True))
        truths = dict(zip((*CLASSES, MERGED), [*truth, truth.any(axis=0)], strict=True))
        for name, mask in layers.items():
            expected = [(mask & truths[name]).sum(), (mask & ~truths[name]).sum(), (~mask & truths[name]).sum()]
            assert frame.loc[(image_id, name), ["tp", "fp", "fn"]].tolist() == expected


@pytest.mark.parametrize("name", ["dice_all", "f1", "youden"])
def test_no_choice_lowers_the_objective_on_val(dataset, name):
    calibration, scores, _ = scored(dataset, (MERGED,), objective=name)
    half, calibrated = calibration.value_at_half[MERGED], calibration.value[MERGED]
    assert calibration.post_processed[MERGED]["value"] >= calibrated - 1e-12 >= half - 2e-12
    val = scores.per_image.to_pandas().query("role == 'val'")
    if name == "f1":
        totals = val.groupby("policy")[["tp", "fp", "fn"]].sum()
        f1 = 2 * totals["tp"] / (2 * totals["tp"] + totals["fp"] + totals["fn"])
        assert f1["post_processed"] == pytest.approx(calibration.post_processed[MERGED]["value"])
        assert f1["post_processed"] >= f1["calibrated"] >= f1["at_0.5"]


def test_an_objective_that_falls_or_is_not_what_was_recorded_is_an_error():
    good = {"at_0.5": 0.5, "calibrated": 0.6, "post_processed": 0.6}
    check_objective("f1", good, dict(good), "val")
    check_objective("f1", dict.fromkeys(good), dict.fromkeys(good), "val")
    falling = good | {"post_processed": 0.55}
    with pytest.raises(InvariantError, match=r"f1 does not fall: at_0\.5 <= calibrated <= post_processed"):
        check_objective("f1", falling, falling, "val")
    for policy in good:
        with pytest.raises(InvariantError, match=rf"f1 {policy} is what calibration\.json says"):
            check_objective("f1", good, good | {policy: 0.61}, "val")
        with pytest.raises(InvariantError, match=rf"f1 {policy} is what calibration\.json says"):
            check_objective("f1", good | {policy: None}, good, "val")


# --- zero-shot ------------------------------------------------------------------------------------------------------


def test_unsuffixed_metrics_of_a_zero_shot_method_owe_nothing_to_val_labels(dataset):
    calibration, _, trained = scored(dataset)
    _, _, zero_shot = scored(dataset, zero_shot=True)
    assert trained["dice_all"] != trained["dice_all_at_0.5"], "the threshold should matter for this test"
    for metric in METRICS:
        for role in ("test", "val"):
            plain, half, pp, calibrated = (
                full_name(metric, role, suffix) for suffix in ("", "_at_0.5", "_pp", "_calibrated")
            )
            assert zero_shot[plain] == zero_shot[half] == trained[half]
            assert zero_shot[calibrated] == trained[plain]
            assert zero_shot[pp] == trained[pp]
            assert trained[calibrated] is None
    assert (trained["policy"], trained["used_val_labels"]) == ("calibrated", True)
    assert trained["overkill_at_escape_0"] is not None
    assert {zero_shot[name] for name in OPERATING_RATES} == {None}
    assert zero_shot["image_auroc"] == trained["image_auroc"]
    assert (zero_shot["policy"], zero_shot["used_val_labels"]) == ("at_0.5", False)
    assert zero_shot["thresholds"] == dict.fromkeys(CLASSES, 0.5)
    assert zero_shot["thresholds_calibrated"] == trained["thresholds"] == calibration.threshold
    assert zero_shot["per_class"]["pits"]["threshold"] == 0.5
    assert zero_shot["per_class"]["pits"]["test_mIoU"] == trained["per_class"]["pits"]["test_mIoU_at_0.5"]


@pytest.mark.parametrize("zero_shot", [True, False, None])
def test_run_json_says_so_and_the_results_follow(dataset, tmp_path, zero_shot):
    folder = tmp_path / "runs" / "model"
    write_run(folder)
    if zero_shot is not None:
        write_json(folder / "run.json", read_json(folder / "run.json") | {"zero_shot": zero_shot})
    val, _ = dataset.predict_both(noisy_maps(dataset.truth, merged=True))
    write_json(folder / "calibration.json", vars(calibrate(val, CalibrateSettings())))
    ScoreSettings().write(folder / "score.yaml")
    inputs = {"settings": folder / "score.yaml", "manifest": dataset.manifest, "split": dataset.split}
    inputs |= {role: dataset.folder / f"{role}.pred.parquet" for role in ("val", "test")}
    inputs |= {name: folder / f"{name}.json" for name in ("calibration", "run", "metrics")}
    outputs = {
        "per-image": "per_image",
        "hist": "hist",
        "pooled": "pooled_hist",
        "components": "components",
        "froc": "froc",
    }
    inputs |= {name: folder / f"{file}.parquet" for name, file in outputs.items()}
    script.main([part for name, path in inputs.items() for part in (f"--{name}", str(path))])
    row = consolidate(ResultsSettings(experiments=[folder], bootstrap_draws=200)).iloc[0]
    assert row["dice_all_lo"] <= row["dice_all"] <= row["dice_all_hi"]
    if zero_shot:
        assert row["dice_all"] == row["dice_all_at_0.5"] != row["dice_all_calibrated"]
        assert (row["threshold"], row["used_val_labels"]) == (0.5, False)
    else:
        assert row["dice_all"] != row["dice_all_at_0.5"]
        assert pd.isna(row["dice_all_calibrated"])
        assert row["used_val_labels"]


@pytest.mark.parametrize("zero_shot", [False, True])
def test_an_imposed_policy_is_scored_beside_the_chosen_ones_and_changes_none_of_them(dataset, zero_shot):
    least = 5
    imposed = {"threshold": 0.3, "min_area": least}
    calibration, scores, metrics = scored(dataset, zero_shot=zero_shot, imposed=imposed)
    plain_calibration, _, plain = scored(dataset, zero_shot=zero_shot)
    assert calibration.imposed == {"k": 77, "min_area": least}  # 0.3 * 256 = 76.8
    assert {**asdict(calibration), "imposed": None} == asdict(plain_calibration)
    others = [name for name in plain if not name.endswith("_imposed") and name != "per_class"]
    assert {name: metrics[name] for name in others} == {name: plain[name] for name in others}
    assert plain["dice_all_imposed"] is None
    counted = scores.per_image.to_pandas().query("policy == 'imposed' and role == 'test' and `class` == 'merged'")
    dice = []
    for image_id, codes in noisy_maps(dataset.truth, merged=False)["test"].items():
        mask = np.zeros(codes.shape[1:], bool)
        for plane in codes:
            labels, _ = ndimage.label(plane >= threshold_code(77), np.ones((3, 3)))
            mask |= (labels > 0) & (np.bincount(labels.ravel())[labels] >= least)
        truth = dataset.truth["test"][image_id].any(axis=0)
        row = counted.set_index("image_id").loc[image_id]
        assert row[["tp", "fp", "fn"]].tolist() == [(mask & truth).sum(), (mask & ~truth).sum(), (~mask & truth).sum()]
        total = mask.sum() + truth.sum()
        dice.append(2 * (mask & truth).sum() / total if total else 1.0)
    assert metrics["dice_all_imposed"] == pytest.approx(np.mean(dice))

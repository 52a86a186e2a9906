"""Scoring: records, histograms and metrics agree with masks made by hand and with each other."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import score as script
from evaluation_fixtures import CLASSES, constant_maps, make_dataset, noisy_maps, random_truth, write_run
from sklearn.metrics import average_precision_score

from defectbench.config.base import MERGED
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.score import ScoreSettings
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.invariants import InvariantError, SuspiciousMetrics, check_metrics
from defectbench.evaluation.scoring import score
from defectbench.evaluation.summary import summarise
from defectbench.evaluation.truth import EvaluationError, ids_sha256
from defectbench.files import read_json, write_json
from defectbench.metrics.codes import HALF, threshold_code
from defectbench.metrics.definitions import METRICS
from defectbench.metrics.histograms import sweep
from defectbench.metrics.image_counts import ImageCounts


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path / "data", random_truth())


def scored(dataset, maps, objective="dice_all", **header):
    val, test = dataset.predict_both(maps, **header)
    calibration = calibrate(val, CalibrateSettings(objective=objective))
    scores = score(val, test, calibration, ScoreSettings())
    return calibration, scores, summarise(scores, calibration, "digest", ScoreSettings())


def expected_counts(truth, prediction):
    return [int(c) for c in ((truth & prediction).sum(), (prediction & ~truth).sum(), (truth & ~prediction).sum())]


def records(scores, **keys):
    frame = scores.per_image.to_pandas()
    for column, value in keys.items():
        frame = frame[frame[column] == value]
    return frame.set_index("image_id")


@pytest.mark.parametrize("policy", ["calibrated", "at_0.5"])
def test_records_of_a_model_of_classes(dataset, policy):
    maps = noisy_maps(dataset.truth, merged=False)
    calibration, scores, _ = scored(dataset, maps, classes=CLASSES)
    cuts = [threshold_code(k) if policy == "calibrated" else HALF for k in calibration.thresholds.values()]
    assert len(set(calibration.thresholds.values()) | {128}) == 3, "the thresholds should differ for this test"
    for role in ("val", "test"):
        for image_id, codes in maps[role].items():
            truth = dataset.truth[role][image_id]
            masks = np.stack([plane >= cut for plane, cut in zip(codes, cuts, strict=True)])
            layers = dict(zip(CLASSES, zip(truth, masks, strict=True), strict=True))
            layers[MERGED] = (truth[0] | truth[1], masks[0] | masks[1])
            for name, (true, predicted) in layers.items():
                row = records(scores, role=role, policy=policy, **{"class": name}).loc[image_id]
                assert row[["tp", "fp", "fn"]].tolist() == expected_counts(true, predicted)
                assert row["n_pixels"] == true.size
                assert row["n_truth"] == true.sum()
                assert row["group"] == f"g_{image_id}"


def test_a_merged_model_has_merged_records_only_and_every_image_once_per_policy(dataset):
    _, scores, _ = scored(dataset, noisy_maps(dataset.truth, merged=True))
    frame = scores.per_image.to_pandas()
    assert set(frame["class"]) == {MERGED}
    assert (frame.groupby(["role", "image_id"]).size() == 3).all()
    assert frame["image_id"].nunique() == 14
    assert frame.notna().all(axis=None)


def test_histograms_give_the_counts_of_every_policy(dataset):
    calibration, scores, _ = scored(dataset, noisy_maps(dataset.truth, merged=False), classes=CLASSES)
    for row in scores.histograms.to_pylist():
        if row["class"] == MERGED:
            continue
        tp, fp, fn = sweep(np.array([row["negative"], row["positive"]]))
        for policy, k in (("calibrated", calibration.thresholds[row["class"]]), ("at_0.5", 128)):
            counted = records(scores, role=row["role"], policy=policy, **{"class": row["class"]}).loc[row["image_id"]]
            assert counted[["tp", "fp", "fn"]].tolist() == [tp[k - 1], fp[k - 1], fn[k - 1]]


@pytest.mark.parametrize("merged", [True, False])
def test_auprc_is_scikit_learns_on_the_stored_codes_of_the_merged_map(dataset, merged):
    maps = noisy_maps(dataset.truth, merged)
    _, _, metrics = scored(dataset, maps, classes=(MERGED,) if merged else CLASSES)
    for role, prefix in (("test", ""), ("val", "val_")):
        truth = np.concatenate([m.any(axis=0).ravel() for m in dataset.truth[role].values()])
        codes = np.concatenate([codes.max(axis=0).ravel() for codes in maps[role].values()])
        assert metrics[f"{prefix}AUPRC"] == pytest.approx(average_precision_score(truth, codes), abs=1e-9)
        assert metrics[f"{prefix}prevalence"] == pytest.approx(truth.mean(), abs=1e-12)
        assert metrics[f"{prefix}n_pixels"] == truth.size
    for index, name in enumerate(metrics["per_class"]):
        truth = np.concatenate([m[index].ravel() for m in dataset.truth["test"].values()])
        codes = np.concatenate([codes[index].ravel() for codes in maps["test"].values()])
        expected = average_precision_score(truth, codes)
        assert metrics["per_class"][name]["AUPRC"] == pytest.approx(expected, abs=1e-9)


def test_metrics_by_hand(dataset):
    maps = noisy_maps(dataset.truth, merged=False)
    calibration, _, metrics = scored(dataset, maps, classes=CLASSES)
    cuts = [threshold_code(k) for k in calibration.thresholds.values()]
    dices, ious, per_class = [], [], []
    for image_id, codes in maps["test"].items():
        truth = dataset.truth["test"][image_id]
        masks = np.stack([plane >= cut for plane, cut in zip(codes, cuts, strict=True)])
        for true, mask in [(truth.any(axis=0), masks.any(axis=0)), *zip(truth, masks, strict=True)]:
            both = true.sum() + mask.sum()
            per_class.append(2 * (true & mask).sum() / both if both else 1)
            ious.append((true & mask).sum() / (true | mask).sum() if true.any() else None)
        dices.append(per_class.pop(-3))
    merged_ious = [iou for iou in ious[::3] if iou is not None]
    pits = [iou for iou in ious[1::3] if iou is not None]
    assert metrics["dice_all"] == pytest.approx(np.mean(dices))
    assert metrics["test_mIoU"] == pytest.approx(np.mean(merged_ious))
    assert metrics["per_class"]["pits"]["test_mIoU"] == pytest.approx(np.mean(pits))
    assert metrics["IoU@50"] == pytest.approx(np.mean([iou >= 0.5 for iou in merged_ious]))
    assert metrics["dice_kaggle"] == pytest.approx(np.mean(per_class))
    empty = np.mean([not mask.any() for masks in dataset.truth["test"].values() for mask in masks])
    assert metrics["dice_kaggle_gain"] == pytest.approx(np.mean(per_class) - empty)
    assert metrics["dice_kaggle_skill"] == pytest.approx((np.mean(per_class) - empty) / (1 - empty))


def test_facts_beside_the_metrics(dataset):
    calibration, _, metrics = scored(dataset, noisy_maps(dataset.truth, merged=True))
    assert metrics["n_test"] == metrics["n_val"] == 7
    assert metrics["n_test_defective"] == sum(m.any() for m in dataset.truth["test"].values())
    assert metrics["test_ids_sha256"] == ids_sha256(dataset.truth["test"])
    assert metrics["data_digest"] == "digest"
    assert metrics["threshold"] == calibration.threshold[MERGED]
    assert metrics["per_class"] == {}
    for name in (
        "dice_kaggle",
        "dice_kaggle_skill",
        "dice_all_calibrated",
    ):
        assert metrics[name] is None
    json.dumps(metrics, allow_nan=False)


def test_several_thresholds_are_not_squeezed_into_one(dataset):
    calibration, _, metrics = scored(dataset, noisy_maps(dataset.truth, merged=False), classes=CLASSES)
    assert metrics["threshold"] is None
    assert metrics["thresholds"] == calibration.threshold
    assert metrics["per_class"]["cracks"]["threshold"] == calibration.threshold["cracks"]


def test_calibration_never_lowers_its_objective_on_val(dataset):
    _, _, metrics = scored(dataset, noisy_maps(dataset.truth, merged=True))
    assert metrics["val_dice_all"] > metrics["val_dice_all_at_0.5"]


# --- edge cases -----------------------------------------------------------------------------------------------------


def test_all_empty_scores_the_empty_fraction(dataset):
    _, _, metrics = scored(dataset, constant_maps(dataset.truth, 0), has_scores=False)
    clean = np.mean([not m.any() for m in dataset.truth["test"].values()])
    assert metrics["dice_all"] == metrics["dice_all_at_0.5"] == pytest.approx(clean)
    assert metrics["test_mIoU"] == metrics["Recall"] == metrics["F1"] == metrics["fp_image_rate"] == 0
    assert metrics["Precision"] is None
    assert metrics["AUPRC"] is None
    assert metrics["prevalence"] > 0


def test_all_full_finds_everything_and_flags_every_clean_image(dataset):
    _, _, metrics = scored(dataset, constant_maps(dataset.truth, 65535), has_scores=False)
    assert metrics["Recall"] == metrics["fp_image_rate"] == metrics["fp_area_on_clean"] == 1
    assert metrics["Precision"] == pytest.approx(metrics["prevalence"])


def test_saturated_scores_are_scores(dataset):
    _, _, metrics = scored(dataset, constant_maps(dataset.truth, 65535))
    assert metrics["AUPRC"] == pytest.approx(metrics["prevalence"])
    assert metrics["threshold"] == 0.5


def test_a_class_absent_from_test(tmp_path):
    truth = random_truth()
    for masks in truth["test"].values():
        masks[1] = False
    dataset = make_dataset(tmp_path, truth)
    _, _, metrics = scored(dataset, noisy_maps(truth, merged=False), classes=CLASSES)
    cracks = metrics["per_class"]["cracks"]
    assert cracks["n_test_defective"] == 0
    for name in ("test_mIoU", "test_Dice", "IoU@50", "Recall", "AUPRC"):
        assert cracks[name] is None
    assert cracks["prevalence"] == 0
    assert metrics["dice_kaggle"] is not None


@pytest.mark.parametrize("fill", [False, True])
def test_only_clean_and_only_fully_defective_test_images(tmp_path, fill):
    truth = random_truth(classes=1)
    for masks in truth["test"].values():
        masks[:] = fill
    dataset = make_dataset(tmp_path, truth, ("rust",))
    _, _, metrics = scored(dataset, noisy_maps(truth, merged=True))
    assert (metrics["test_mIoU"] is None) == (not fill)
    assert (metrics["fp_image_rate"] is None) == fill
    assert metrics["prevalence"] == fill


def test_a_perfect_prediction_is_perfect_and_suspicious(dataset):
    maps = {
        role: {i: np.where(m.any(axis=0, keepdims=True), 65535, 0).astype(np.uint16) for i, m in of_role.items()}
        for role, of_role in dataset.truth.items()
    }
    with pytest.warns(SuspiciousMetrics, match=r"Precision = Recall = F1 = 1\.000"):
        _, _, metrics = scored(dataset, maps)
    names = ("dice_all", "test_mIoU", "test_Dice", "IoU@95", "F1", "AUPRC", "image_F1", "miou_with_background")
    assert {metrics[name] for name in names} == {1.0}


# --- refusals -------------------------------------------------------------------------------------------------------


def test_thresholds_of_other_val_images_or_classes_are_refused(dataset, tmp_path):
    val, test = dataset.predict_both(noisy_maps(dataset.truth, merged=True))
    other = make_dataset(tmp_path / "other", random_truth(n=5))
    other_val, _ = other.predict_both(noisy_maps(other.truth, merged=True))
    with pytest.raises(EvaluationError, match="other val images"):
        score(val, test, calibrate(other_val, CalibrateSettings()), ScoreSettings())
    classes_val, classes_test = dataset.predict_both(noisy_maps(dataset.truth, merged=False), classes=CLASSES)
    with pytest.raises(EvaluationError, match="calibrated for"):
        score(classes_val, classes_test, calibrate(val, CalibrateSettings()), ScoreSettings())
    with pytest.raises(EvaluationError, match="not of one model"):
        score(val, classes_test, calibrate(val, CalibrateSettings()), ScoreSettings())


def values_of(images):
    return {name: function(images) for name, function in METRICS.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Dice": 0.1}, "mIoU <= mDice"),
        ({"IoU@90": 0.5}, "IoU@t does not rise with t"),
        ({"IoU@50": 1.0, "IoU@75": 1.0, "IoU@90": 1.0, "IoU@95": 1.0}, r"\.5 f50"),
        ({"F1": 0.9}, "F1 = 2 iou_dataset"),
        ({"Precision": 0.9}, "F1 = harmonic mean"),
    ],
)
def test_contradicting_metrics_are_an_error_with_the_numbers(change, message):
    images = ImageCounts(*np.array([[5, 3, 2, 50], [9, 1, 6, 50], [0, 2, 0, 50]]).T)
    check_metrics(values_of(images), images, "test")
    with pytest.raises(InvariantError, match=rf"test, merged: this must hold, but does not: {message}.*mIoU = 0\."):
        check_metrics(values_of(images) | change, images, "test, merged")


def test_an_all_empty_submission_with_another_score_is_an_error():
    images = ImageCounts(*np.array([[0, 0, 2, 50], [0, 0, 0, 50]]).T)
    with pytest.raises(InvariantError, match="all-empty submission scores the empty fraction"):
        check_metrics(values_of(images) | {"dice_all": 1.0}, images, "test")


def test_a_calibration_that_claims_another_value_is_an_error(dataset):
    val, test = dataset.predict_both(noisy_maps(dataset.truth, merged=True))
    calibration = calibrate(val, CalibrateSettings())
    calibration.value[MERGED] += 0.01
    scores = score(val, test, calibration, ScoreSettings())
    with pytest.raises(InvariantError, match=r"val, merged.*dice_all calibrated is what calibration\.json says"):
        summarise(scores, calibration, "digest", ScoreSettings())


def test_ordinary_metrics_raise_no_warning(dataset):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scored(dataset, noisy_maps(dataset.truth, merged=True))
    assert not [warning for warning in caught if issubclass(warning.category, SuspiciousMetrics)]


# --- the script -----------------------------------------------------------------------------------------------------


def run_script(dataset, folder, classes=(MERGED,)):
    folder.mkdir()
    maps = noisy_maps(dataset.truth, merged=classes == (MERGED,))
    val, _ = dataset.predict_both(maps, classes=classes)
    write_json(folder / "calibration.json", vars(calibrate(val, CalibrateSettings())))
    write_run(dataset.folder / "run")
    ScoreSettings().write(dataset.folder / "score.yaml")
    arguments = {
        "settings": dataset.folder / "score.yaml",
        "val": dataset.folder / "val.pred.parquet",
        "test": dataset.folder / "test.pred.parquet",
        "calibration": folder / "calibration.json",
        "run": dataset.folder / "run" / "run.json",
        "manifest": dataset.manifest,
        "split": dataset.split,
        "per-image": folder / "per_image.parquet",
        "hist": folder / "hist.parquet",
        "pooled": folder / "pooled_hist.parquet",
        "components": folder / "components.parquet",
        "froc": folder / "froc.parquet",
        "metrics": folder / "metrics.json",
    }
    script.main([text for name, path in arguments.items() for text in (f"--{name}", str(path))])


def test_two_runs_of_the_script_write_the_same_bytes(dataset, tmp_path, capsys):
    for name in ("a", "b"):
        run_script(dataset, tmp_path / name, CLASSES)
    assert "a: 7 test images: dice_all 0." in capsys.readouterr().out
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "calibration.json",
        "components.parquet",
        "froc.parquet",
        "hist.parquet",
        "metrics.json",
        "per_image.parquet",
        "pooled_hist.parquet",
    ]


def test_what_the_script_writes_can_be_read_and_summarised_again(dataset, tmp_path):
    run_script(dataset, tmp_path / "a")
    hist = pd.read_parquet(tmp_path / "a" / "hist.parquet")
    assert list(hist.columns) == ["role", "image_id", "class", "positive", "negative"]
    pooled = pd.read_parquet(tmp_path / "a" / "pooled_hist.parquet")
    n_pixels = sum(m[0].size for m in dataset.truth["test"].values())
    assert pooled.loc[pooled["role"] == "test", ["positive", "negative"]].sum().sum() == n_pixels
    metrics = read_json(tmp_path / "a" / "metrics.json")
    assert metrics["data_digest"] == dataset.read().manifest.digest()

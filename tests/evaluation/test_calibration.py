"""Thresholds: found as a brute-force search finds them, on val images only, and never below p = 0.5."""

import shutil

import calibrate as script
import numpy as np
import pytest
from evaluation_fixtures import CLASSES, constant_maps, make_dataset, noisy_maps, random_truth
from hypothesis import given
from hypothesis import strategies as st

from defectbench.config.base import MERGED
from defectbench.config.calibrate import CalibrateSettings
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.objective import Objective
from defectbench.evaluation.truth import EvaluationError, ValidationData, ids_sha256
from defectbench.files import read_json
from defectbench.inference.prediction_file import PredictionFile
from defectbench.metrics.codes import probabilities_from_codes, threshold_code

OBJECTIVES = ("dice_all", "f1", "youden")
best_candidate = Objective("dice_all").best_candidate


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path / "data", random_truth())


def brute_force(name, truths, maps):
    """The objective at every candidate, with masks made from probabilities one threshold at a time."""
    values = []
    for k in range(1, 256):
        cut = probabilities_from_codes(threshold_code(k))
        masks = [probabilities_from_codes(codes) >= cut for codes in maps]
        pairs = list(zip(truths, masks, strict=True))
        if name == "dice_all":
            dices = [2 * (t & m).sum() / (t.sum() + m.sum()) if t.any() or m.any() else 1 for t, m in pairs]
            values.append(np.mean(dices))
            continue
        truth, mask = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
        if name == "f1":
            values.append(2 * (truth & mask).sum() / (truth.sum() + mask.sum()))
        else:
            values.append(mask[truth].mean() - mask[~truth].mean())
    return np.array(values)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("merged", [True, False])
def test_the_choice_is_that_of_a_brute_force_search(dataset, name, merged):
    maps = noisy_maps(dataset.truth, merged)
    classes = (MERGED,) if merged else CLASSES
    val, _ = dataset.predict_both(maps, classes=classes)
    found = calibrate(val, CalibrateSettings(objective=name))
    assert list(found.thresholds) == list(classes)
    for index, class_name in enumerate(classes):
        truths = [m.any(axis=0) if merged else m[index] for m in dataset.truth["val"].values()]
        expected = brute_force(name, truths, [codes[index] for codes in maps["val"].values()])
        k = found.thresholds[class_name]
        assert found.curve[class_name] == pytest.approx(expected.tolist(), abs=1e-12)
        assert expected[k - 1] == pytest.approx(expected.max(), abs=1e-12)
        assert found.threshold[class_name] == k / 256
        assert found.value[class_name] == found.curve[class_name][k - 1]
        assert found.value_at_half[class_name] == found.curve[class_name][127]
        assert found.value[class_name] >= found.value_at_half[class_name]


def test_the_record_says_what_was_used(dataset):
    val, _ = dataset.predict_both(noisy_maps(dataset.truth, merged=True))
    found = calibrate(val, CalibrateSettings())
    assert (found.role, found.objective, found.used_val_labels, found.has_scores) == ("val", "dice_all", True, True)
    assert found.n_images == 7
    assert found.val_ids_sha256 == ids_sha256(dataset.truth["val"])
    assert len(found.curve[MERGED]) == 255


def test_methods_without_scores_keep_half(dataset):
    val, _ = dataset.predict_both(constant_maps(dataset.truth, 65535), has_scores=False)
    found = calibrate(val, CalibrateSettings())
    assert found.thresholds == {MERGED: 128}
    assert found.threshold == {MERGED: 0.5}
    assert not found.used_val_labels


@pytest.mark.parametrize("code", [0, 65535])
def test_saturated_maps_tie_everywhere_and_keep_half(dataset, code):
    val, _ = dataset.predict_both(constant_maps(dataset.truth, code))
    assert calibrate(val, CalibrateSettings()).thresholds == {MERGED: 128}


def test_clean_images_count(tmp_path):
    """On the defective image alone a low threshold is best; the clean one's false alarm pulls it up."""
    defective, clean = np.zeros((1, 4, 4), bool), np.zeros((1, 4, 4), bool)
    defective[0, :2] = True
    dataset = make_dataset(tmp_path, {r: {f"{r}_d": defective, f"{r}_c": clean} for r in ("val", "test")}, ("rust",))
    low, high = threshold_code(50), threshold_code(200)
    map_d = np.where(defective, low, 0).astype(np.uint16)
    map_d[0, 0] = high
    map_c = np.full((1, 4, 4), threshold_code(100), np.uint16)
    maps = {role: {f"{role}_d": map_d, f"{role}_c": map_c} for role in ("val", "test")}
    val, _ = dataset.predict_both(maps)
    assert calibrate(val, CalibrateSettings(objective="dice_all")).thresholds[MERGED] == 128
    assert calibrate(val, CalibrateSettings(objective="dice_all")).value[MERGED] == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("name", ["f1", "youden"])
def test_a_class_absent_from_val_keeps_half_where_the_objective_is_undefined(tmp_path, name):
    truth = random_truth()
    for masks in truth["val"].values():
        masks[1] = False
    dataset = make_dataset(tmp_path, truth)
    val, _ = dataset.predict_both(noisy_maps(truth, merged=False), classes=CLASSES)
    found = calibrate(val, CalibrateSettings(objective=name))
    assert found.thresholds["cracks"] == 128
    assert found.value["cracks"] is None
    assert found.curve["cracks"] == [None] * 255
    assert found.value["pits"] is not None


def test_ties_go_to_the_candidate_nearest_to_half():
    curve = np.zeros(255)
    assert best_candidate(curve) == 128
    curve[[9, 149, 199]] = 1
    assert best_candidate(curve) == 150
    curve[127] = np.nan
    assert best_candidate(curve) == 150
    assert best_candidate(np.full(255, np.nan)) == 128


@given(st.lists(st.floats(0, 1), min_size=255, max_size=255))
def test_the_chosen_value_is_never_below_that_at_half(values):
    curve = np.array(values)
    assert curve[best_candidate(curve) - 1] == curve.max() >= curve[127]


def test_objectives_of_totals_by_hand():
    tp, fp, fn, n = np.array([3, 0]), np.array([1, 2]), np.array([1, 0]), np.array([10, 10])
    assert Objective("dice_all")(tp, fp, fn, n) == pytest.approx((6 / 8 + 0) / 2)
    assert Objective("f1")(tp, fp, fn, n) == pytest.approx(6 / 10)
    assert Objective("youden")(tp, fp, fn, n) == pytest.approx(3 / 4 + 13 / 16 - 1)


# --- recall_at_least ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recall", [0.3, 0.8, 0.95, 1])
@pytest.mark.parametrize("merged", [True, False])
def test_recall_at_least_is_the_highest_threshold_that_reaches_it(dataset, recall, merged):
    maps = noisy_maps(dataset.truth, merged)
    classes = (MERGED,) if merged else CLASSES
    val, _ = dataset.predict_both(maps, classes=classes)
    found = calibrate(val, CalibrateSettings(objective="recall_at_least", recall=recall))
    for index, name in enumerate(classes):
        pairs = [
            (codes[index], masks.any(axis=0) if merged else masks[index])
            for codes, masks in zip(maps["val"].values(), dataset.truth["val"].values(), strict=True)
        ]
        n_true = sum(truth.sum() for _, truth in pairs)
        recalls = {k: sum((c >= threshold_code(k))[t].sum() for c, t in pairs) / n_true for k in range(1, 256)}
        reached = [k for k, value in recalls.items() if value >= recall]
        highest = max(recalls.values())
        assert found.thresholds[name] == max(reached or [k for k, value in recalls.items() if value == highest])
        assert (found.value[name] >= 0) == bool(reached)
        if not reached:
            assert found.value[name] == pytest.approx(highest - recall)
    assert found.recall == recall


def test_an_unreachable_recall_takes_the_highest_threshold_of_the_highest_recall(tmp_path):
    truth = np.zeros((1, 2, 5), bool)
    truth[0, 0] = True
    dataset = make_dataset(tmp_path, {r: {f"{r}_0": truth} for r in ("val", "test")}, ("rust",))
    codes = np.zeros((1, 2, 5), np.uint16)
    codes[0, 0, :4], codes[0, 1, 0] = threshold_code(90), threshold_code(40)
    val, _ = dataset.predict_both({role: {f"{role}_0": codes} for role in ("val", "test")})
    settings = CalibrateSettings(objective="recall_at_least", recall=0.9)
    found = calibrate(val, settings)
    assert found.thresholds == {MERGED: 90}
    assert found.value[MERGED] == pytest.approx(-0.1)
    assert calibrate(val, settings.model_copy(update={"recall": 0.8})).value[MERGED] == pytest.approx(1 - 4 / 10)


def test_the_recall_belongs_to_its_objective_alone(tmp_path):
    CalibrateSettings(objective="f1").write(tmp_path / "f1.yaml")
    assert "recall" not in (tmp_path / "f1.yaml").read_text()
    settings = CalibrateSettings(objective="recall_at_least", recall=0.9)
    settings.write(tmp_path / "recall.yaml")
    assert CalibrateSettings.read(tmp_path / "recall.yaml") == settings


def test_a_class_called_merged_is_refused(tmp_path):
    dataset = make_dataset(tmp_path, random_truth(), ("pits", MERGED))
    with pytest.raises(EvaluationError, match="no class may be called 'merged'"):
        dataset.read()


# --- no test data ---------------------------------------------------------------------------------------------------


def test_test_data_are_refused_by_type(dataset):
    _, test = dataset.predict_both(noisy_maps(dataset.truth, merged=True))
    with pytest.raises(TypeError, match="ValidationData only, not HeldOutData"):
        calibrate(test, CalibrateSettings())


def test_a_test_file_is_refused_by_its_role(dataset):
    path = dataset.predict("test", noisy_maps(dataset.truth, merged=True)["test"])
    with pytest.raises(EvaluationError, match="val predictions are needed, these are test predictions"):
        ValidationData(PredictionFile(path), dataset.read())


def test_a_test_file_relabelled_as_val_is_refused_by_its_ids(dataset):
    path = dataset.predict("val", noisy_maps(dataset.truth, merged=True)["test"], name="relabelled")
    with pytest.raises(EvaluationError, match=r"missing: 7 image\(s\): val_0.*not in val: 7 image\(s\): test_0"):
        ValidationData(PredictionFile(path), dataset.read())


def test_a_val_file_with_one_test_image_slipped_in_is_refused(dataset):
    maps = noisy_maps(dataset.truth, merged=True)
    path = dataset.predict("val", maps["val"] | {"test_1.png": maps["test"]["test_1.png"]})
    with pytest.raises(EvaluationError, match=r"not in val: 1 image\(s\): test_1\.png"):
        ValidationData(PredictionFile(path), dataset.read())


def run_script(dataset, predictions):
    settings = dataset.folder / "calibrate.yaml"
    CalibrateSettings(objective="f1").write(settings)
    out = dataset.folder / "experiment" / "calibration.json"
    arguments = {"settings": settings, "predictions": predictions, "out": out}
    arguments |= {"manifest": dataset.manifest, "split": dataset.split}
    script.main([text for name, path in arguments.items() for text in (f"--{name}", str(path))])
    return out


def test_the_script_writes_calibration_json(dataset, capsys):
    out = run_script(dataset, dataset.predict("val", noisy_maps(dataset.truth, merged=True)["val"]))
    found = read_json(out)
    assert found["objective"] == "f1"
    assert set(found["thresholds"]) == {MERGED}
    assert "experiment: f1 on 7 val images: merged p >= 0." in capsys.readouterr().out


def test_the_script_refuses_test_predictions_whatever_they_are_called(dataset, capsys):
    maps = noisy_maps(dataset.truth, merged=True)["test"]
    renamed = shutil.copy(dataset.predict("test", maps), dataset.folder / "val.pred.parquet")
    relabelled = dataset.predict("val", maps, name="relabelled")
    for path in (renamed, relabelled):
        with pytest.raises(SystemExit) as stopped:
            run_script(dataset, path)
        assert stopped.value.code == 1
        assert str(path) in capsys.readouterr().err
    assert not (dataset.folder / "experiment").exists()


def test_the_choice_does_not_depend_on_the_order_of_the_file(dataset):
    maps = noisy_maps(dataset.truth, merged=True)["val"]
    path = dataset.predict("val", dict(reversed(maps.items())), name="reversed")
    assert PredictionFile(path).image_ids()[0] == "val_6.png"
    backwards = calibrate(ValidationData(PredictionFile(path), dataset.read()), CalibrateSettings())
    forwards, _ = dataset.predict_both(noisy_maps(dataset.truth, merged=True))
    assert backwards.thresholds == calibrate(forwards, CalibrateSettings()).thresholds

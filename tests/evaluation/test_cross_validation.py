"""Cross-validation: no model predicts what it saw, and the metrics of the folds follow from their records."""

import average_members
import cv_fold
import cv_gather
import numpy as np
import pandas as pd
import pytest
from evaluation_fixtures import make_dataset, noisy_codes, random_truth, write_run
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from defectbench.config.base import ConfigError
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.families.ensemble import EnsembleSettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.score import ScoreSettings
from defectbench.config.split import SplitSettings
from defectbench.config.study import load_study
from defectbench.data.cross_validation import check_unseen, make_fold_split, make_oof_split
from defectbench.data.manifest import Manifest, write_manifest
from defectbench.data.splits import SplitError, make_folds, make_split
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.cross_validation import count_folds, cross_fit_thresholds, fold_metrics
from defectbench.evaluation.objective import Objective
from defectbench.evaluation.scoring import score
from defectbench.evaluation.truth import EvaluationError, HeldOutData, ValidationData
from defectbench.files import read_json, write_json
from defectbench.inference.prediction_file import PredictionFile, PredictionHeader, write_predictions
from defectbench.metrics.codes import threshold_code
from defectbench.training.run_record import images_seen

CLASSES = ("pits", "cracks")


def make_frame(n: int, groups: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    area = random.integers(1, 5000, (n, 2)) * (random.random((n, 2)) < 0.4)
    group = [f"g{index}" for index in random.integers(0, groups, n)]
    return pd.DataFrame({"image_id": [f"{index:04d}.jpg" for index in range(n)], "group": group, "area": list(area)})


@settings(max_examples=15)
@given(n=st.integers(100, 200), groups=st.integers(50, 200), k=st.integers(2, 5), seed=st.integers(0, 99))
def test_no_fold_is_predicted_by_a_model_that_saw_the_image_or_its_group(n, groups, k, seed):
    frame = make_frame(n, groups, seed)
    split = make_split(frame, SplitSettings(seed=seed))
    folds = make_folds(frame, split, k, seed)
    predicted = []
    for fold in range(k):
        found = make_fold_split(frame, split, folds, fold, 0.2, seed)
        held_out = found.prediction[found.prediction["role"] == "val"]
        unseen = found.prediction
        # Training reads training.csv alone: train images to learn, val images to stop by.
        assert not set(found.training["image_id"]) & set(unseen["image_id"])
        assert not set(found.training["group"]) & set(unseen["group"])
        inner = found.training[found.training["role"] == "val"]
        train = found.training[found.training["role"] == "train"]
        assert len(inner)
        assert not set(inner["group"]) & set(train["group"])
        assert set(found.subset["image_id"]) == set(train["image_id"])
        assert len(found.training) + len(held_out) == len(folds)
        predicted += held_out["image_id"].tolist()
    assert sorted(predicted) == sorted(split.loc[split["role"] != "test", "image_id"])


def test_folds_that_divide_a_group_are_refused():
    frame = make_frame(100, 40, 0)
    split = make_split(frame, SplitSettings())
    folds = make_folds(frame, split, 3, 0)
    twins = folds["group"].value_counts().index[0]
    torn = folds["group"] == twins
    folds.loc[torn, "fold"] = np.arange(torn.sum()) % 2
    with pytest.raises(SplitError, match="saw the image or its group"):
        make_fold_split(frame, split, folds, 0, 0.2, 0)


def test_a_model_that_saw_the_group_alone_is_refused_too():
    seen = pd.DataFrame({"image_id": ["a"], "group": ["g"]})
    check_unseen(seen, pd.DataFrame({"image_id": ["b"], "group": ["h"]}))
    for image_id, group in (("a", "h"), ("b", "g")):
        with pytest.raises(SplitError, match="1 image"):
            check_unseen(seen, pd.DataFrame({"image_id": [image_id], "group": [group]}))


def test_inner_val_without_a_defect_is_refused():
    frame = make_frame(60, 60, 0)
    frame["group"] = frame["image_id"]
    frame["area"] = [np.array([9, 0]) if index < 2 else np.zeros(2, int) for index in range(60)]
    split = frame[["image_id", "group"]].assign(role=["train"] * 50 + ["test"] * 10)
    folds = split[split["role"] == "train"].assign(fold=np.arange(50) % 2)
    with pytest.raises(
        SplitError, match=r"images inside the other folds would have no defect: change split\.inner_val"
    ):
        make_fold_split(frame, split, folds, 0, 0.1, 0)


class Folds:
    """Two folds of a dataset of 6 images and 2 test images; the model of fold k gives every pixel its own code."""

    codes = (30000, 40000)

    def __init__(self, folder):
        rng = np.random.default_rng(0)
        self.masks = {f"{index}.png": rng.random((1, 8, 8)) < 0.4 for index in range(8)}
        ids = list(self.masks)
        roles = {"train": ids[:4], "val": ids[4:6], "test": ids[6:]}
        dataset = make_dataset(
            folder, {role: {i: self.masks[i] for i in own} for role, own in roles.items()}, classes=("pits",)
        )
        split = pd.read_csv(dataset.split, dtype=str)
        self.whole = folder / "whole.csv"
        make_oof_split(split).to_csv(self.whole, index=False)
        folds = split[split["role"] != "test"].assign(fold=[0, 1, 0, 1, 0, 1])[["image_id", "fold", "group"]]
        folds.to_csv(folder / "folds.csv", index=False)
        self.folder, self.dataset, self.test = folder, dataset, ids[6:]
        self.held_out = [folds.loc[folds["fold"] == k, "image_id"].tolist() for k in range(2)]
        self.models, self.training = [], []
        for k in range(2):
            files = [folder / f"cv{k}" / name for name in ("training.csv", "subset.csv", "prediction.csv")]
            options = ["--training", "--subset", "--prediction"]
            arguments = [str(part) for pair in zip(options, files, strict=True) for part in pair]
            common = ["--manifest", str(dataset.manifest), "--split", str(dataset.split), "--seed", "0"]
            folds_file = ["--folds", str(folder / "folds.csv"), "--fold", str(k), "--inner-val", "0.34"]
            cv_fold.main([*common, *folds_file, *arguments])
            model = folder / f"model{k}"
            write_run(model)
            run = read_json(model / "run.json") | {"data_digest": "d", "classes": ["pits"]}
            write_json(model / "run.json", run | images_seen(pd.read_csv(files[0])["image_id"]))
            for role, ids in (("val", self.held_out[k]), ("test", self.test)):
                with write_predictions(model / f"{role}.pred.parquet", PredictionHeader(role, ("pits",), True)) as w:
                    for image_id in ids:
                        w.add(image_id, np.full((1, 8, 8), self.codes[k], np.uint16))
            self.models.append(model)
            self.training.append(files[0])
        identity = {"exp_id": "unet_cv2_s42", "dataset": "tiny", "family": "unet", "model": "unet", "variant": ""}
        identity |= {"subset": "full", "prompt_type": "none", "img_size": "native", "seed": 42}
        ExperimentIdentity(**identity).write(folder / "identity.yaml")

    def gather(self):
        outputs = {name: self.folder / file for name, file in GATHERED.items()}
        arguments = ["--identity", self.folder / "identity.yaml", "--folds", *self.models, "--training", *self.training]
        arguments += ["--split", self.whole, "--code-digest", "c0de"]
        arguments += [part for name, path in outputs.items() for part in (f"--{name}", path)]
        cv_gather.main([str(argument) for argument in arguments])
        return outputs


GATHERED = {"oof": "oof.pred.parquet", "test": "test.pred.parquet", "run": "run.json", "timing": "timing.json"}


@pytest.fixture
def folds(tmp_path):
    return Folds(tmp_path)


def test_out_of_fold_predictions_are_those_of_the_model_that_did_not_see_the_image(folds):
    outputs = folds.gather()
    found = {image_id: int(codes[0, 0, 0]) for image_id, codes in PredictionFile(outputs["oof"])}
    assert list(found) == sorted(folds.held_out[0] + folds.held_out[1])
    for k in range(2):
        assert {found[image_id] for image_id in folds.held_out[k]} == {folds.codes[k]}
        seen = pd.read_csv(folds.training[k])["image_id"]
        assert not set(seen) & {image_id for image_id, code in found.items() if code == folds.codes[k]}


def test_test_maps_are_the_mean_of_the_folds_and_the_record_adds_up_their_costs(folds):
    outputs = folds.gather()
    maps = dict(PredictionFile(outputs["test"]))
    assert list(maps) == folds.test
    p = np.mean([1 / (1 + np.exp((32768 - code) / 512)) for code in folds.codes])
    assert maps[folds.test[0]][0, 0, 0] == round(32768 + 512 * np.log(p / (1 - p)))
    run, one = read_json(outputs["run"]), read_json(folds.models[0] / "run.json")
    assert run["train_seconds"] == 2 * one["train_seconds"]
    assert run["params_total"] == 2 * one["params_total"]
    assert run["n_labels_train"] + run["n_labels_val"] == 6
    assert run["experiment"]["track"] == "automatic"
    assert read_json(outputs["timing"])["avg_inference_time"] == pytest.approx(2 * 0.0125)


def refused(folds, capsys) -> str:
    with pytest.raises(SystemExit):
        folds.gather()
    assert not (folds.folder / "run.json").exists()
    return capsys.readouterr().err


def test_a_record_of_other_images_is_refused(folds, capsys):
    run = read_json(folds.models[1] / "run.json")
    seen = pd.read_csv(folds.training[1])["image_id"]
    write_json(folds.models[1] / "run.json", run | images_seen([*seen, folds.held_out[1][0]]))
    assert "does not say that the model saw the train and inner val images" in refused(folds, capsys)


def test_a_model_trained_on_its_own_fold_is_refused(folds, capsys):
    table = pd.read_csv(folds.training[1])
    leak = pd.DataFrame({"image_id": folds.held_out[1][:1], "role": "train", "group": "another"})
    table = pd.concat([table, leak])
    table.to_csv(folds.training[1], index=False)
    run = read_json(folds.models[1] / "run.json")
    write_json(folds.models[1] / "run.json", run | images_seen(table["image_id"]))
    assert f"saw the image or its group: 1 images: {folds.held_out[1][0]}" in refused(folds, capsys)


def test_an_image_predicted_by_two_folds_is_refused(folds, capsys):
    path = folds.models[1] / "val.pred.parquet"
    with write_predictions(path, PredictionHeader("val", ("pits",), True)) as writer:
        for image_id in sorted(folds.held_out[0] + folds.held_out[1]):
            writer.add(image_id, np.zeros((1, 8, 8), np.uint16))
    assert "3 image(s) were predicted by several models" in refused(folds, capsys)


@pytest.fixture(params=[False, True], ids=["per class", "merged"])
def scored(request, tmp_path):
    """Out-of-fold data, histograms and folds of 9 images in 3 folds."""
    truth = random_truth(3, n=9)
    dataset = make_dataset(tmp_path, truth)
    rng = np.random.default_rng(0)
    merged = request.param

    def maps(role):
        masks = {i: m.any(axis=0, keepdims=True) if merged else m for i, m in truth[role].items()}
        # Every fold has its own bias, so that its own best threshold differs from that of the others.
        return {i: noisy_codes(m, rng, shift=-2.0 + k % 3) for k, (i, m) in enumerate(masks.items())}

    header = {} if merged else {"classes": CLASSES}
    val, test = (dataset.predict(role, maps(role), **header) for role in ("val", "test"))
    read = dataset.read()
    data = ValidationData(PredictionFile(val), read)
    scores = score(data, HeldOutData(PredictionFile(test), read), calibrate(data, CalibrateSettings()), ScoreSettings())
    histograms = scores.histograms.to_pandas()
    folds = {image_id: k % 3 for k, image_id in enumerate(truth["val"])}
    return data, histograms[histograms["role"] == "val"], folds


def test_thresholds_of_a_fold_are_the_best_on_the_other_folds(scored):
    data, histograms, folds = scored
    thresholds = cross_fit_thresholds(histograms, data.header.classes, folds, Objective("dice_all"))
    for fold, by_class in thresholds.items():
        for index, name in enumerate(data.header.classes):
            others = [s for s in data if folds[s.image_id] != fold]

            def mean_dice(k, index=index, others=others):
                masks = [s.codes[index] >= threshold_code(k) for s in others]
                truths = [s.truth[index] for s in others]
                return np.mean(
                    [
                        2 * (t & m).sum() / (t.sum() + m.sum()) if t.any() or m.any() else 1.0
                        for t, m in zip(truths, masks, strict=True)
                    ]
                )

            best = max(mean_dice(k) for k in range(1, 256))
            assert mean_dice(by_class[name]) == pytest.approx(best)


def test_thresholds_do_not_depend_on_the_fold_that_they_are_for(scored):
    data, histograms, folds = scored
    before = cross_fit_thresholds(histograms, data.header.classes, folds, Objective("dice_all"))
    own = histograms["image_id"].map(folds) == 1
    changed = histograms.copy()
    changed.loc[own, ["positive", "negative"]] = changed.loc[own, ["negative", "positive"]].to_numpy()
    after = cross_fit_thresholds(changed, data.header.classes, folds, Objective("dice_all"))
    assert after[1] == before[1]
    assert after != before


def test_metrics_of_a_fold_are_those_of_its_own_pixels(scored):
    data, histograms, folds = scored
    thresholds = cross_fit_thresholds(histograms, data.header.classes, folds, Objective("f1"))
    records = count_folds(data, thresholds, folds)
    metrics = fold_metrics(records, thresholds)
    for fold in (0, 1, 2):
        truths, predictions = [], []
        for sample in data:
            if folds[sample.image_id] == fold:
                cuts = np.array([threshold_code(thresholds[fold][name]) for name in sample.classes])[:, None, None]
                truths.append(sample.truth.any(axis=0).ravel())
                predictions.append((sample.codes >= cuts).any(axis=0).ravel())
        expected = f1_score(np.concatenate(truths), np.concatenate(predictions))
        assert metrics["folds"][fold]["F1"] == pytest.approx(expected)
        recomputed = fold_metrics(records[records["fold"] == fold], thresholds)["pooled"]
        assert metrics["folds"][fold] == recomputed
    f1 = [metrics["folds"][fold]["F1"] for fold in (0, 1, 2)]
    assert metrics["mean"]["F1"] == pytest.approx(np.mean(f1))
    assert metrics["sd"]["F1"] == pytest.approx(np.std(f1, ddof=1))
    # The F1 of all pixels together is not the mean of the folds' F1.
    assert metrics["pooled"]["F1"] != pytest.approx(np.mean(f1), abs=1e-6)


def test_an_image_without_a_fold_is_refused(scored):
    data, histograms, folds = scored
    thresholds = cross_fit_thresholds(histograms, data.header.classes, folds, Objective("f1"))
    with pytest.raises(EvaluationError, match="1 out-of-fold image"):
        count_folds(data, thresholds, {i: k for i, k in folds.items() if i != data.ids[0]})


STUDY = {
    "dataset": {
        "name": "d",
        "format": "severstal_csv",
        "root": "data",
        "classes": {1: "a", 2: "b"},
        "synthetic": {"n_images": 10},
    },
}
PLAIN, FOLDED = "unet-resnet34_full_none_native_s42", "unet-resnet34_full_none_native_cv5_s42"


def study(*experiments, **sections):
    return load_study({**STUDY, **sections, "experiments": list(experiments)}).experiments


def problem(*experiments, **sections) -> str:
    with pytest.raises(ConfigError) as error:
        study(*experiments, **sections)
    return "\n".join(error.value.problems)


def test_cv_is_the_last_part_of_the_id():
    assert [e.exp_id for e in study({"model": "unet"}, {"model": "unet", "cv": 5})] == [PLAIN, FOLDED]


def test_cv_needs_the_datasets_folds_and_all_images():
    assert "cv is 3, split.n_folds 5; give both alike" in problem({"model": "unet", "cv": 3})
    assert "needs subset: full" in problem({"model": "unet", "cv": 5, "subset": 10})
    assert study({"model": "unet", "cv": 3}, split={"n_folds": 3})[0].cv == 3


def test_an_ensembles_members_are_one_value_and_stand_for_all_their_seeds():
    members = ["unet-resnet34_full_none_native", "fpn-resnet34_full_none_native_s1"]
    found = study(
        {"model": "unet", "seed": [1, 2]},
        {"model": "fpn", "seed": 1},
        {"model": "ensemble", "members": members, "weights": ["equal", "fitted"]},
    )
    ensembles = [e for e in found if e.family == "ensemble"]
    assert len({e.exp_id for e in ensembles}) == 2
    expected = [f"unet-resnet34_full_none_native_s{s}" for s in (1, 2)] + [members[1]]
    assert list(ensembles[0].settings.members) == expected


def test_an_ensembles_members_must_be_of_the_same_images_and_classes():
    unknown = {"model": "ensemble", "members": [PLAIN, "nothing_s1"]}
    assert "no experiment 'nothing_s1'" in problem({"model": "unet"}, unknown)
    mixed = {"model": "ensemble", "members": [PLAIN, FOLDED]}
    assert "all members need the same cv" in problem({"model": "unet"}, {"model": "unet", "cv": 5}, mixed)
    tasks = {"model": "ensemble", "members": [PLAIN, "unet-resnet34_full_none_native_task-per-class_s42"]}
    entries = ({"model": "unet"}, {"model": "unet", "task": "per_class"})
    assert "all members need the same task" in problem(*entries, tasks)


def test_an_ensemble_of_cross_validated_members_is_scored_out_of_fold():
    fpn = FOLDED.replace("unet", "fpn")
    found = study(*({"model": m, "cv": 5} for m in ("unet", "fpn")), {"model": "ensemble", "members": [FOLDED, fpn]})
    assert found[-1].cv == 5
    assert found[-1].exp_id.endswith("_cv5_s42")


def test_choice_and_weights_are_decided_without_test_predictions(tmp_path):
    truth = random_truth(0)
    dataset = make_dataset(tmp_path, truth)
    maps = {i: noisy_codes(m, np.random.default_rng(0)) for i, m in truth["test"].items()}
    path = dataset.predict("test", maps, classes=CLASSES)
    members = EnsembleSettings(model="ensemble", members=("a", "b"), choose=1)
    with pytest.raises(EvaluationError, match="val predictions are needed, these are test predictions"):
        average_members.choose_weights(members, [path, path], dataset.read())


def test_the_fold_script_writes_what_training_and_prediction_read(tmp_path):
    frame = make_frame(100, 60, 1)
    full = frame.assign(path="", height=1, width=1, channels=1, stored_as="", sha256="", phash=pd.NA, rle=[[]] * 100)
    write_manifest(tmp_path / "m.parquet", Manifest(full.astype({"phash": "UInt64"}), "d", CLASSES, (1, 2), 0))
    split = make_split(frame, SplitSettings())
    split.to_csv(tmp_path / "split.csv", index=False)
    make_folds(frame, split, 2, 0).to_csv(tmp_path / "folds.csv", index=False)
    files = {name: str(tmp_path / f"{name}.csv") for name in ("training", "subset", "prediction")}
    arguments = ["--manifest", str(tmp_path / "m.parquet"), "--split", str(tmp_path / "split.csv"), "--seed", "0"]
    arguments += ["--folds", str(tmp_path / "folds.csv"), "--fold", "1", "--inner-val", "0.2"]
    cv_fold.main([*arguments, *(part for name, path in files.items() for part in (f"--{name}", path))])
    assert set(pd.read_csv(files["training"])["role"]) == {"train", "val"}
    assert set(pd.read_csv(files["prediction"])["role"]) == {"val", "test"}
    subset = pd.read_csv(files["subset"])["image_id"]
    training = pd.read_csv(files["training"])
    assert set(subset) == set(training.loc[training["role"] == "train", "image_id"])

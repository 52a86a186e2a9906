"""Ensembles and test-time augmentation: means of probabilities, streamed; members and weights selected on val alone."""

from pathlib import Path

import average_members
import numpy as np
import pandas as pd
import pytest
from evaluation_fixtures import make_dataset, noisy_codes, random_truth, write_run
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize
from scipy.special import expit, logit

from defectbench.config.base import ConfigError
from defectbench.config.families.ensemble import EnsembleSettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.study import load_study
from defectbench.evaluation.members import MemberMaps, fit_weights, select_members
from defectbench.evaluation.truth import EvaluationError, HeldOutData, ValidationData
from defectbench.families.ensemble.record import Member, MemberError, combined_record, read_members
from defectbench.files import read_json, write_json
from defectbench.inference.ensemble import MeanPredictor, mean_codes, write_mean
from defectbench.inference.prediction_file import (
    PredictionFile,
    PredictionFileError,
    PredictionHeader,
    write_predictions,
)
from defectbench.inference.tta import TestTimeAugmentation, add_tta
from defectbench.metrics.codes import codes_from_logits, probabilities_from_codes, threshold_code

CODES = hnp.arrays(np.uint16, (2, 3, 4))


@given(codes=CODES, n=st.integers(1, 4))
def test_the_mean_of_equal_maps_is_that_map_even_at_the_outermost_codes(codes, n):
    np.testing.assert_array_equal(mean_codes([codes] * n), codes)
    np.testing.assert_array_equal(mean_codes([codes] * n, [0.7] * n), codes)


@given(
    logits=hnp.arrays(np.float64, (3, 5), elements=st.floats(-15, 15)),
    weights=st.lists(st.floats(0.1, 5), min_size=3, max_size=3),
)
def test_the_mean_is_that_of_probabilities(logits, weights):
    codes = [codes_from_logits(row) for row in logits]
    p = np.average([expit((c.astype(float) - 32768) / 512) for c in codes], axis=0, weights=weights)
    difference = mean_codes(codes, weights).astype(float) - (32768 + 512 * logit(p))
    assert np.abs(difference).max() < 0.51


@given(a=CODES, b=CODES)
def test_the_mean_lies_between_and_does_not_depend_on_the_order(a, b):
    actual = mean_codes([a, b])
    assert (actual >= np.minimum(a, b)).all()
    assert (actual <= np.maximum(a, b)).all()
    np.testing.assert_array_equal(actual, mean_codes([b, a]))


def test_one_confident_member_has_no_veto():
    no, yes = np.uint16([0]), codes_from_logits(np.array([1.5]))
    assert mean_codes([yes, yes, no])[0] >= 32768


def test_a_mean_predictor_is_the_mean_of_its_members():
    members = [lambda image: image[None].astype(np.uint16), lambda image: image[None].astype(np.uint16) + 40000]
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    expected = mean_codes([m(image) for m in members], [1, 3])
    np.testing.assert_array_equal(MeanPredictor(members, [1, 3])(image), expected)


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path, random_truth(5, n=12))


def predict(dataset, name, role="val", noise=0, order=1, **header):
    """A member's predictions: noisy, or, with ``noise`` None, the truth itself."""
    rng = np.random.default_rng(noise)
    masks = dataset.truth[role]
    maps = {
        i: codes_from_logits(np.where(m, 3.0, -3.0)) if noise is None else noisy_codes(m, rng) for i, m in masks.items()
    }
    header = {"classes": dataset.classes} | header
    return dataset.predict(role, dict(sorted(maps.items())[::order]), name=name, **header)


def test_files_are_averaged_image_by_image(dataset):
    paths = [predict(dataset, name, noise=i) for i, name in enumerate("ab")]
    out = dataset.folder / "mean.pred.parquet"
    assert write_mean(paths, [1, 2], out, "val") == 12
    actual, a, b = (dict(PredictionFile(path)) for path in (out, *paths))
    assert list(actual) == list(a)
    for image_id, codes in actual.items():
        np.testing.assert_array_equal(codes, mean_codes([a[image_id], b[image_id]], [1, 2]))
    assert PredictionFile(out).header == PredictionHeader("val", dataset.classes, True)


def test_a_member_of_weight_0_is_not_even_read(dataset):
    a = predict(dataset, "a")
    write_mean([a, dataset.folder / "absent.parquet"], [1, 0], dataset.folder / "mean.pred.parquet", "val")
    actual = dict(PredictionFile(dataset.folder / "mean.pred.parquet"))
    for image_id, codes in PredictionFile(a):
        np.testing.assert_array_equal(actual[image_id], codes)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"order": -1}, "needs predictions of the same images in one order"),
        ({"role": "test"}, "needs predictions of the same images in one order"),
        ({"has_scores": False}, "holds no scores"),
        ({"classes": ("cracks", "pits")}, "give all members the same task"),
    ],
)
def test_inconsistent_files_are_refused(dataset, changes, problem):
    paths = [predict(dataset, "a"), predict(dataset, "b", **changes)]
    with pytest.raises(PredictionFileError, match=problem):
        write_mean(paths, [1, 1], dataset.folder / "mean.pred.parquet", "val")
    assert not (dataset.folder / "mean.pred.parquet").exists()


@pytest.mark.parametrize("alike", [True, False])
def test_a_mean_of_oracle_members_has_defective_images_only(tmp_path, alike):
    dataset = make_dataset(tmp_path, random_truth(5, n=12))
    paths = []
    for name, defective_only in (("a", True), ("b", alike)):
        paths.append(dataset.folder / f"{name}.pred.parquet")
        with write_predictions(paths[-1], PredictionHeader("val", dataset.classes, True, defective_only)) as writer:
            for image_id, masks in sorted(dataset.truth["val"].items()):
                if masks.any():
                    writer.add(image_id, noisy_codes(masks, np.random.default_rng(0)))
    write_mean(paths, [1, 1], out := dataset.folder / "mean.pred.parquet", "val")
    if alike:
        actual = ValidationData(PredictionFile(out), dataset.read()).ids
        assert actual == [i for i, masks in sorted(dataset.truth["val"].items()) if masks.any()]
        assert len(actual) < len(dataset.truth["val"])
    else:
        with pytest.raises(EvaluationError, match="missing"):
            ValidationData(PredictionFile(out), dataset.read())


def val_maps(dataset, *paths):
    truth = dataset.read()
    return MemberMaps([ValidationData(PredictionFile(path), truth) for path in paths])


def test_the_best_member_is_taken_first_and_worse_ones_not_at_all(dataset):
    paths = [predict(dataset, "noisy", noise=1), predict(dataset, "true", noise=None), predict(dataset, "n2", noise=2)]
    steps = select_members(val_maps(dataset, *paths), 3)
    assert [step.added for step in steps] == [1]
    assert steps[0].value == 1.0
    assert set(steps[0].tried) == {0, 1, 2}


def test_selection_reports_the_dice_of_the_mean_at_the_best_threshold(dataset):
    paths = [predict(dataset, name, noise=i) for i, name in enumerate("abc")]
    steps = select_members(val_maps(dataset, *paths), 2)
    maps = [dict(PredictionFile(paths[step.added])) for step in steps]
    best = 0
    for k in range(1, 256):
        scores = []
        for image_id, masks in dataset.truth["val"].items():
            prediction = (mean_codes([m[image_id] for m in maps]) >= threshold_code(k)).any(axis=0)
            truth = masks.any(axis=0)
            total = truth.sum() + prediction.sum()
            scores.append(2 * (truth & prediction).sum() / total if total else 1.0)
        best = max(best, np.mean(scores))
    assert steps[-1].value == pytest.approx(best)
    assert len(steps) < 2 or steps[1].value > steps[0].value


def test_nothing_is_selected_on_test_data(dataset):
    path = predict(dataset, "t", role="test")
    with pytest.raises(TypeError, match="ValidationData only, not HeldOutData"):
        MemberMaps([HeldOutData(PredictionFile(path), dataset.read())])


def test_fitted_weights_have_the_highest_likelihood(dataset):
    paths = [predict(dataset, name, noise=i) for i, name in enumerate("abc")]
    maps = val_maps(dataset, *paths)
    fitted = fit_weights(maps, seed=0)
    assert fitted.sum() == pytest.approx(1)
    # The images are small enough for the sample to hold every pixel.
    likelihood = []
    for sample in maps:
        p = np.stack([probabilities_from_codes(codes) for codes in sample.maps])
        likelihood.append(np.where(sample.truth, p, 1 - p).reshape(3, -1))
    likelihood = np.concatenate(likelihood, axis=1)

    def loss(weights):
        return -np.log(weights @ likelihood).mean()

    best = minimize(
        loss, np.full(3, 1 / 3), bounds=[(1e-9, 1)] * 3, constraints={"type": "eq", "fun": lambda w: w.sum() - 1}
    )
    assert loss(fitted) == pytest.approx(best.fun, abs=1e-5)


def test_a_member_that_is_right_gets_the_weight(dataset):
    paths = [predict(dataset, "noisy", noise=1), predict(dataset, "true", noise=None)]
    assert fit_weights(val_maps(dataset, *paths), seed=0)[1] > 0.9


def run_script(dataset, tracks=("automatic", "automatic"), labelled=("abc", "abc"), runs=({}, {}), **settings):
    """Average two members; ``labelled``: an id per letter of the images that each was trained on."""
    folder = dataset.folder
    members = [folder / f"member{i}" for i in range(2)]
    subsets = [folder / f"subset{i}.csv" for i in range(2)]
    for member, track, ids, subset, more in zip(members, tracks, labelled, subsets, runs, strict=True):
        write_run(member, track=track)
        facts = {"data_digest": "d", "notes": ["loss: its own", f"of {member.name}"], "n_labels_train": len(ids)}
        write_json(member / "run.json", read_json(member / "run.json") | facts | more)
        pd.DataFrame({"image_id": list(ids)}).to_csv(subset, index=False)
    EnsembleSettings(model="ensemble", members=("member0", "member1"), **settings).write(folder / "train.yaml")
    identity = {"exp_id": "e", "dataset": "d", "family": "ensemble", "model": "ensemble", "variant": ""}
    identity |= {"subset": "full", "prompt_type": "none", "img_size": "native", "seed": 42}
    ExperimentIdentity(**identity).write(folder / "identity.yaml")
    maps = {
        role: [predict(dataset, f"{role}{i}", role, noise=noise) for i, noise in enumerate((1, None))]
        for role in ("val", "test")
    }
    out = {name: folder / f"out_{name}" for name in ("choice", "val", "test", "run", "timing")}
    arguments = ["--settings", folder / "train.yaml", "--identity", folder / "identity.yaml", "--members", *members]
    arguments += ["--val-maps", *maps["val"], "--test-maps", *maps["test"], "--code-digest", "c"]
    arguments += ["--subsets", *subsets, "--manifest", dataset.manifest, "--split", dataset.split]
    arguments += [part for name, path in out.items() for part in (f"--{name}", path)]
    average_members.main([str(argument) for argument in arguments])
    return out


def test_an_ensemble_costs_what_all_its_members_cost(dataset):
    out = run_script(dataset)
    run, one = read_json(out["run"]), read_json(dataset.folder / "member0" / "run.json")
    for name in ("train_seconds", "params_total", "weights_bytes"):
        assert run[name] == 2 * one[name]
    timing = read_json(out["timing"])
    assert (timing["avg_inference_time"], timing["infer_ms_p50"]) == (pytest.approx(0.025), 24.0)
    assert timing["infer_ms_p95"] is None
    assert read_json(out["choice"])["weights"] == [0.5, 0.5]
    assert PredictionFile(out["val"]).header.role == "val"
    assert PredictionFile(out["test"]).header.role == "test"


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        (("automatic", "automatic"), "automatic"),
        (("automatic", "reference"), "automatic"),
        (("reference", "reference"), "reference"),
        (("automatic", "oracle"), "oracle"),
        (("reference", "oracle"), "oracle"),
    ],
)
def test_an_ensemble_with_a_trained_network_is_no_reference_and_one_oracle_member_makes_it_oracle(tracks, expected):
    assert combined(*({"track": track} for track in tracks))["experiment"]["track"] == expected


def combined(*runs, labelled=(), **more):
    """run.json of an ensemble; what ``runs`` say of each member's experiment or training replaces the usual."""
    members = []
    for run in runs:
        experiment = {"track": run.pop("track", "automatic"), "prompt_source": "none"}
        members.append(Member(Path("x"), 0.5, {"experiment": experiment, "finished_at": "", **run}, {}))
    named = {"exp_id": "e", "dataset": "d", "family": "ensemble", "model": "ensemble", "variant": "", "subset": 50}
    identity = ExperimentIdentity(**named, prompt_type="none", img_size="native", seed=42)
    return combined_record(identity, {}, members, labelled, **more)


def test_labels_of_an_ensemble_are_those_of_any_member_each_counted_once(dataset):
    assert read_json(run_script(dataset, labelled=("abc", "bcde"))["run"])["n_labels_train"] == 5
    zero_shot = {"n_labels_train": 0, "zero_shot": True}
    run = read_json(run_script(dataset, labelled=("ab", "bcde"), runs=({}, zero_shot))["run"])
    assert (run["n_labels_train"], run["zero_shot"]) == (2, False)
    # The tuned threshold looks at the first images of its subset alone.
    run = read_json(run_script(dataset, labelled=("ab", "bcdefgh"), runs=({}, {"n_labels_train": 3}))["run"])
    assert run["n_labels_train"] == 4
    run = read_json(run_script(dataset, labelled=("abc", "xy"), choose=1)["run"])
    assert (len(run["members"]), run["n_labels_train"]) == (1, 2)


@pytest.mark.parametrize("settings", [{"weights": "fitted"}, {"choose": 2}, {"weights": "fitted", "choose": 1}])
def test_selecting_members_or_weights_by_val_labels_is_not_zero_shot(dataset, settings):
    untrained = {"n_labels_train": 0, "n_labels_val": 0, "zero_shot": True}
    plain = read_json(run_script(dataset, runs=(untrained, untrained))["run"])
    assert (plain["zero_shot"], plain["n_labels_train"], plain["n_labels_val"]) == (True, 0, 0)
    run = read_json(run_script(dataset, runs=(untrained, untrained), **settings)["run"])
    assert (run["zero_shot"], run["n_labels_train"], run["n_labels_val"]) == (False, 0, 12)


def test_images_of_training_and_of_fitted_weights_are_counted_once():
    run = combined({"n_labels_val": 0}, {"n_labels_val": 0}, labelled={"a", "b", "c"}, selected_on=["b", "c"])
    assert (run["n_labels_train"], run["n_labels_val"], run["zero_shot"]) == (3, 0, False)


def test_the_devices_of_training_are_those_of_the_members_that_were_trained():
    gpu, cpu = {"device": "GPU"}, {"device": "CPU"}
    assert combined(gpu, gpu)["device"] == "GPU"
    assert combined(gpu, cpu)["device"] == "mixed"
    assert combined(gpu, cpu | {"zero_shot": True})["device"] == "GPU"
    assert combined(cpu | {"zero_shot": True})["device"] is None


def test_an_ensemble_has_the_notes_of_its_members_each_once(dataset):
    assert read_json(run_script(dataset)["run"])["notes"] == ["loss: its own", "of member0", "of member1"]
    assert read_json(run_script(dataset, choose=1)["run"])["notes"] == ["loss: its own", "of member1"]


def test_an_ensemble_says_what_is_wrong_with_its_members(dataset):
    runs = ({"problems": ["val_iou_fixed was 0"]}, {})
    assert read_json(run_script(dataset, runs=runs)["run"])["problems"] == ["val_iou_fixed was 0"]


def test_a_selected_ensemble_has_and_costs_only_the_selected_members(dataset):
    out = run_script(dataset, choose=1)
    choice, run = read_json(out["choice"]), read_json(out["run"])
    assert choice["weights"] == [0, 1]
    assert choice["selection"][0]["value"] == 1
    assert run["train_seconds"] == 61.5
    assert [member["weight"] for member in run["members"]] == [1]


def test_members_trained_on_other_data_are_refused(tmp_path):
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        write_run(folder)
        write_json(folder / "run.json", read_json(folder / "run.json") | {"data_digest": folder.name})
    with pytest.raises(MemberError, match="were trained on different data"):
        read_members(folders, [1, 1])


def row_and_column(image: np.ndarray) -> np.ndarray:
    """Codes that depend on the place and the brightness: as far from symmetric as a network."""
    height, width = image.shape[:2]
    ramp = np.arange(width) * 300 + np.arange(height)[:, None] * 7
    return np.stack([ramp + image, 50000 - ramp]).astype(np.uint16)


def test_a_mirrored_image_gets_the_mirrored_map():
    image = np.random.default_rng(0).integers(0, 256, (6, 9), dtype=np.uint8)
    tta = TestTimeAugmentation(row_and_column, True, [])
    np.testing.assert_array_equal(tta(image[:, ::-1]), tta(image)[:, :, ::-1])
    flipped = row_and_column(image[:, ::-1])[:, :, ::-1]
    np.testing.assert_array_equal(tta(image), mean_codes([row_and_column(image), flipped]))


def test_every_scale_is_predicted_mirrored_and_not_at_the_images_own_size():
    seen = []

    def predictor(image):
        seen.append(image.shape)
        return np.full((1, *image.shape[:2]), 40000, np.uint16)

    image = np.zeros((10, 20, 3), np.uint8)
    actual = add_tta(predictor, "hflip+0.5+1.5")(image)
    assert sorted(seen) == sorted([(10, 20, 3), (5, 10, 3), (15, 30, 3)] * 2)
    np.testing.assert_array_equal(actual, np.full((1, 10, 20), 40000))


def test_without_views_the_predictor_is_left_alone():
    assert add_tta(row_and_column, "none") is row_and_column


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"tta": "vflip"}, "tta"),
        ({"tta": "hflip+hflip"}, "a view is given twice"),
        ({"tta": "1.0"}, "scale 1 is always included"),
        ({"tta": "9"}, "allowed scales: 0.25 to 4"),
        ({"tta": "0.5", "img_size": "64", "resize": "squash"}, "set img_size: native"),
    ],
)
def test_views_that_make_no_sense_are_refused(keys, problem):
    config = {"dataset": {"name": "d", "format": "severstal_csv", "root": "data", "classes": {1: "a"}}}
    config["dataset"]["synthetic"] = {"n_images": 10}
    with pytest.raises(ConfigError, match=problem):
        load_study(config | {"experiments": [{"model": "unet", **keys}]})
    load_study(config | {"experiments": [{"model": "unet", "tta": "hflip+0.75+1.25"}]})


MEMBERS = {
    "unet": "unet-resnet34_full_none_native_s42",
    "empty": "all_empty_full_none_native_s42",
    "boxes": "yolov8-n_full_none_640_s42",
    "box": "sam2-2.1-tiny-random_full_box_native_s42",
    "points": "sam2-2.1-tiny-random_full_points_native_s42",
    "full_box": "sam2-2.1-tiny-random_full_full-box_native_s42",
}


def ensemble_of(*names):
    config = {"dataset": {"name": "d", "format": "severstal_csv", "root": "data", "classes": {1: "a"}}}
    config["dataset"]["synthetic"] = {"n_images": 10}
    entries = [{"model": ["unet", "yolov8", "all_empty"]}]
    entries += [{"model": "sam2", "init": "random", "prompt": ["box", "points", "full_box"]}]
    entries += [{"model": "ensemble", "members": [MEMBERS[name] for name in names]}]
    return load_study(config | {"experiments": entries})


def test_members_of_one_track_are_allowed():
    assert ensemble_of("box", "points")
    assert ensemble_of("unet", "full_box")


@pytest.mark.parametrize(
    ("names", "wrong", "problem"),
    [
        (("unet", "boxes"), "boxes", "gives boxes alone, no maps that could be averaged"),
        (("unet", "empty"), "empty", "gives no scores, only yes/no"),
        (("unet", "box"), "box", "tracks are never mixed"),
        (("points", "full_box"), "points", "tracks are never mixed"),
    ],
)
def test_members_whose_maps_cannot_be_averaged_are_refused_before_any_training(names, wrong, problem):
    with pytest.raises(ConfigError) as error:
        ensemble_of(*names)
    (line,) = error.value.problems
    assert f": {MEMBERS[wrong]} " in line
    assert problem in line

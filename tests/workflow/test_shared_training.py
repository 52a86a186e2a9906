"""Experiments that differ only in how their network predicts share one training, and say so."""

import pytest
import share_training
import yaml
from unet_training import options, train, write_packs

from defectbench.config.expansion import expand
from defectbench.config.identity import ExperimentIdentity
from defectbench.files import read_json

TILES = {"mode": "crops", "crop": "64x64"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Packs of six images, four of them for training."""
    return write_packs(tmp_path_factory.mktemp("unet"))


def trainings(*entries: dict) -> dict[str, str]:
    """Experiment id -> the id of the experiment that trains for it."""
    problems: list[str] = []
    experiments = expand(list(entries), {}, problems)
    assert not problems
    return {experiment.exp_id: experiment.training.exp_id for experiment in experiments}


def test_views_and_tiles_have_the_training_of_the_default_prediction():
    name = "unet-resnet34_full_none_native"
    views = trainings({"model": "unet", "tta": ["hflip+0.75", "none", "hflip"]})
    assert views == dict.fromkeys([f"{name}_tta-hflip+0.75_s42", f"{name}_s42", f"{name}_tta-hflip_s42"], f"{name}_s42")
    tiled = trainings({"model": "unet", **TILES, "prediction": "tiles", "overlap": [16, 32]})
    assert len(tiled) == 2
    assert set(tiled.values()) == {f"{name}_mode-crops_crop-64x64_s42"}


def test_the_training_is_the_same_whatever_else_the_study_holds():
    alone = trainings({"model": "unet", "tta": "hflip", "cv": 5})
    assert alone == {"unet-resnet34_full_none_native_tta-hflip_cv5_s42": "unet-resnet34_full_none_native_cv5_s42"}
    assert alone.items() <= trainings({"model": "unet", "tta": ["none", "hflip", "0.75"], "cv": 5}).items()


def test_any_other_difference_is_a_training_of_its_own():
    others = [{}, {"seed": 1}, {"lr": 0.01}, {"subset": 10}, {"cv": 5}, {"model": "fpn"}, {"mode": "crops"}]
    shared = [trainings({"model": "unet", "tta": "hflip", **other}) for other in others]
    assert len({training for one in shared for training in one.values()}) == len(others)


@pytest.mark.parametrize("model", ["yolov8-seg", "sam2_head", "sam3"])
def test_the_other_families_share_too(model):
    trained_by = trainings({"model": model, "tta": ["none", "hflip"]})
    assert len(trained_by) == 2
    assert len(set(trained_by.values())) == 1


@pytest.mark.parametrize("model", ["yolov8", "all_empty", "sam2"])
def test_what_has_no_such_settings_trains_for_itself(model):
    trained_by = trainings({"model": model})
    assert trained_by == {name: name for name in trained_by}


def test_what_is_taken_over_is_what_its_own_training_would_have_made(folder, tmp_path):
    run, weights = train(folder, tmp_path / "plain")
    own_run, own_weights = train(folder, tmp_path / "own", tta="hflip")
    named = {**run["experiment"], "exp_id": "with_views"}
    identity = {key: named[key] for key in ExperimentIdentity.model_fields}
    ExperimentIdentity(**identity).write(tmp_path / "identity.yaml")
    settings, taken = tmp_path / "own" / "train.yaml", tmp_path / "taken"
    trained = weights.parents[1]
    share_training.main(options(trained=trained, identity=tmp_path / "identity.yaml", settings=settings, folder=taken))

    assert (taken / "model/weights.safetensors").read_bytes() == own_weights.read_bytes()
    run_taken = read_json(taken / "run.json")
    assert run_taken["settings"] == own_run["settings"] == yaml.safe_load(settings.read_text())
    assert run_taken["experiment"] == {**own_run["experiment"], "exp_id": "with_views"}
    assert run_taken["weights_path"] == (taken / "model/weights.safetensors").as_posix()
    assert run_taken["trained_in"] == trained.as_posix()
    assert {key: run_taken[key] for key in ("weights_sha256", "steps", "train_seconds")} == {
        key: run[key] for key in ("weights_sha256", "steps", "train_seconds")
    }
    assert (taken / "history.csv").read_bytes() == (trained / "history.csv").read_bytes()

"""Experiments that differ only in how their network predicts share one training, and say so."""

import share_training
import yaml
from test_train_unet import folder, options, train  # noqa: F401  (folder is a fixture)

from defectbench.config.experiments import expand
from defectbench.config.identity import ExperimentIdentity
from defectbench.config.shared import shared_trainings
from defectbench.files import read_json

TILES = {"mode": "crops", "crop": "64x64", "prediction": "tiles", "overlap": [16, 32]}


def shared(*entries: dict) -> dict[str, str]:
    problems: list[str] = []
    found = expand(list(entries), {}, problems)
    assert not problems
    return shared_trainings(found)


def test_views_and_tiles_share_the_training_nearest_to_the_defaults():
    name = "unet-resnet34_full_none_native"
    assert shared({"model": "unet", "tta": ["hflip+0.75", "none", "hflip"]}) == {
        f"{name}_tta-hflip_s42": f"{name}_s42",
        f"{name}_tta-hflip+0.75_s42": f"{name}_s42",
    }
    tiled = shared({"model": "unet", **TILES})
    assert len(tiled) == 1
    assert set(tiled) | set(tiled.values()) == {
        f"{name}_mode-crops_crop-64x64_prediction-tiles_overlap-{pixels}_s42" for pixels in (16, 32)
    }


def test_any_other_difference_is_a_training_of_its_own():
    same = {"model": "unet", "tta": "hflip"}
    for other in ({"seed": 1}, {"lr": 0.01}, {"subset": 10}, {"cv": 5}, {"model": "fpn"}, {"mode": "crops"}):
        assert shared(same, {"model": "unet", **other}) == {}


def test_yolo_and_sam_share_too_and_references_do_not():
    assert len(shared({"model": "yolov8-seg", "tta": ["none", "hflip"]})) == 1
    assert len(shared({"model": "sam2_head", "tta": ["none", "hflip"]})) == 1
    assert shared({"model": ["all_empty", "all_full"]}) == {}


def test_what_is_taken_over_is_what_its_own_training_would_have_made(folder, tmp_path):  # noqa: F811
    run, weights = train(folder, tmp_path / "plain")
    own_run, own_weights = train(folder, tmp_path / "own", tta="hflip")
    named = {**run["experiment"], "exp_id": "with_views"}
    identity = {key: named[key] for key in ExperimentIdentity.model_fields}
    ExperimentIdentity(**identity).write(tmp_path / "identity.yaml")
    settings, taken = tmp_path / "own" / "train.yaml", tmp_path / "taken"
    trained = weights.parents[1]
    share_training.main(options(trained=trained, identity=tmp_path / "identity.yaml", settings=settings, folder=taken))

    assert (taken / "model/weights.safetensors").read_bytes() == own_weights.read_bytes()
    found = read_json(taken / "run.json")
    assert found["settings"] == own_run["settings"] == yaml.safe_load(settings.read_text())
    assert found["experiment"] == {**own_run["experiment"], "exp_id": "with_views"}
    assert found["weights_path"] == (taken / "model/weights.safetensors").as_posix()
    assert found["trained_in"] == trained.as_posix()
    assert {key: found[key] for key in ("weights_sha256", "steps", "train_seconds")} == {
        key: run[key] for key in ("weights_sha256", "steps", "train_seconds")
    }
    assert (taken / "history.csv").read_bytes() == (trained / "history.csv").read_bytes()

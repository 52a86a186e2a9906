"""The training and prediction scripts of the UNet family, end to end on four tiny images."""

import hashlib
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import predict_unet as predict_script
import pytest
import torch
from offline_processes import python_path
from safetensors.torch import load_file, save_file
from tiny_study import ROOT
from unet_training import IDS, arguments, options, train, write_packs

from defectbench.config.base import ConfigError
from defectbench.config.study import load_study
from defectbench.data.packing import ImagePack
from defectbench.families.cascade.record import Stage
from defectbench.families.ensemble.record import Member, collect_labelled_ids
from defectbench.families.unet.network import UNet
from defectbench.files import read_json
from defectbench.inference.prediction_file import PredictionFile
from defectbench.training.provenance import Provenance, find_inherited_ids, picture_digests
from defectbench.training.run_record import images_seen

CLASSES = ("pitted", "inclusion", "scratch", "patch")


EVERYTHING = {
    "model": "dsc_unet",
    "task": "per_class",
    "loss": "bce75_dice25",
    "pos_weight": dict(zip(CLASSES, (2.0, 2.0, 1.0, 1.5), strict=True)),
    "sampler": "balanced",
    "accumulate": 2,
    "optimizer": "sgd",
    "schedule": "plateau",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Packs of six images, four of them for training."""
    return write_packs(tmp_path_factory.mktemp("unet"))


def test_all_settings_together_train_and_predict(folder, tmp_path):
    run, weights = train(folder, tmp_path, **EVERYTHING)
    assert (run["steps"], run["weights_source"]) == (2, "random")
    history = pd.read_csv(tmp_path / "exp" / "history.csv")
    assert history["step"].tolist() == [0, 1, 2]
    assert {f"dice_{name}" for name in CLASSES} <= set(history)
    outputs = {name: tmp_path / f"{name}.parquet" for name in ("val", "test")}
    files = {"run": tmp_path / "exp" / "run.json", "weights": weights, "timing": tmp_path / "timing.json"}
    predict_script.main(options(**files, **outputs, pack=folder / "packed", split=folder / "split.csv"))
    ((image_id, codes),) = PredictionFile(outputs["test"])
    assert (image_id, codes.shape) == ("5.png", (4, 64, 64))


@pytest.fixture(scope="module")
def first(folder, tmp_path_factory):
    """Weights of a training with the defaults."""
    return train(folder, tmp_path_factory.mktemp("first"))[1]


def test_a_training_starts_where_another_ended_and_says_so(folder, first, tmp_path):
    # With a learning rate this small the weights stay what they were.
    run, second = train(folder, tmp_path, init_from=first, lr=1e-12, wd=0, steps=1)
    assert run["weights_source"] == "checkpoint"
    assert run["init_from_sha256"] == hashlib.sha256(first.read_bytes()).hexdigest()
    name = "network.decoder.blocks.0.conv1.0.weight"
    torch.testing.assert_close(load_file(first)[name], load_file(second)[name])


def with_roles(folder, where, roles, n_labels=None):
    """The dataset in ``folder`` with ``roles`` by image number, and the first ``n_labels`` train images as subset."""
    where.mkdir()
    (where / "packed").symlink_to(folder / "packed")
    (where / "identity.yaml").write_bytes((folder / "identity.yaml").read_bytes())
    split = pd.DataFrame([(IDS[number], role) for number, role in roles.items()], columns=["image_id", "role"])
    split.to_csv(where / "split.csv", index=False)
    split.loc[split["role"] == "train", ["image_id"]].head(n_labels).to_csv(where / "subset.csv", index=False)
    return where


SAME = {0: "train", 1: "train", 2: "train", 3: "train", 4: "val", 5: "test"}


def test_labels_that_the_first_weights_learned_from_count(folder, first, tmp_path):
    few = with_roles(folder, tmp_path / "few", SAME, n_labels=2)
    run, second = train(few, tmp_path, init_from=first)
    assert (run["n_labels_train"], run["n_labels_val"], run["notes"]) == (4, 1, [])
    assert run["labels_of_init_from"] == ["2.png", "3.png"]
    assert run["seen_ids_sha256"] == images_seen(IDS[:5])["seen_ids_sha256"]
    # So a third training, a cascade and an ensemble know of them.
    last = second.parents[1] / "checkpoints" / "last.safetensors"
    assert Provenance.read(second) == Provenance.read(last) == Provenance.read(first)
    assert Stage.read(tmp_path / "exp", [few / "subset.csv"]).labelled == set(IDS[:4])
    member = Member(tmp_path / "exp", 1, run, {})
    assert collect_labelled_ids([member], {member.folder: few / "subset.csv"}) == set(IDS[:4])


@pytest.mark.parametrize(
    ("roles", "problem"),
    [
        # A fold of cross-validation: the images held out are in no role.
        ({0: "train", 1: "train", 2: "val"}, "were trained on 2 images that are val or test images here"),
        (SAME | {3: "test", 5: "train"}, "were trained on 1 images that are val or test images here"),
        (SAME | {3: "val", 5: "train"}, "were trained on 1 images that are val or test images here"),
        (SAME | {4: "test", 5: "val"}, "were stopped early by 1 images that are test images here"),
    ],
)
def test_weights_that_saw_what_the_training_must_not_see_are_refused(folder, first, tmp_path, capsys, roles, problem):
    with pytest.raises(SystemExit):
        train(with_roles(folder, tmp_path / "other", roles), tmp_path, init_from=first)
    assert f"{first}: these weights {problem}" in capsys.readouterr().err
    assert not (tmp_path / "exp").exists()


def test_a_train_image_that_only_stopped_the_first_weights_counts_as_a_val_label(folder, first, tmp_path):
    trained_on, early_stopping = picture_digests(ImagePack(folder / "packed"), IDS[:2]).values()
    seen = Provenance(frozenset([trained_on]), frozenset([early_stopping]))
    save_file(load_file(first), weights := tmp_path / "before.safetensors", seen.metadata())
    run, _ = train(with_roles(folder, tmp_path / "few", SAME, n_labels=1), tmp_path, init_from=weights)
    assert (run["n_labels_train"], run["n_labels_val"], run["labels_of_init_from"]) == (1, 2, [])


def test_weights_of_unknown_origin_are_marked_as_such_and_all_that_follows_from_them(folder, first, tmp_path):
    save_file(load_file(first), foreign := tmp_path / "foreign.safetensors")
    run, second = train(folder, tmp_path, init_from=foreign)
    note = "starts from weights of unknown provenance: the images they were trained on are not known"
    assert (run["n_labels_train"], run["weights_source"], run["notes"]) == (4, "checkpoint", [note])
    (tmp_path / "next").mkdir()
    assert train(folder, tmp_path / "next", init_from=second)[0]["notes"] == [note]


def test_weights_of_other_data_may_start_a_fold_and_the_row_says_so(folder, first, tmp_path):
    save_file(load_file(first), other := tmp_path / "other.safetensors", Provenance(frozenset("ab")).metadata())
    fold = with_roles(folder, tmp_path / "fold", {0: "train", 2: "train", 4: "val"})
    run, _ = train(fold, tmp_path, init_from=other)
    assert (run["n_labels_train"], run["notes"]) == (
        2,
        ["starts from weights that were trained on 2 images of other data"],
    )
    assert run["seen_ids_sha256"] == images_seen([IDS[0], IDS[2], IDS[4]])["seen_ids_sha256"]


def test_pictures_are_known_by_their_pixels():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    colour = np.stack([grey, grey, grey + 1], axis=2)
    pictures = {"grey": grey, "as_rgb": np.stack([grey] * 3, axis=2), "colour": colour, "next": grey + 1}
    digests = picture_digests(SimpleNamespace(stored=pictures.__getitem__), pictures)
    assert digests["grey"] == digests["as_rgb"]
    assert len(set(digests.values())) == 3


def test_blank_images_of_both_roles_are_no_leak(tmp_path):
    split = pd.DataFrame({"image_id": ["a", "b", "c"], "role": ["train", "train", "test"]})
    pictures = {"a": "blank", "b": "other", "c": "blank"}
    assert find_inherited_ids(tmp_path, Provenance(frozenset({"blank"})), pictures, split) == ({"a"}, set())


@pytest.mark.parametrize(("dataset", "refused"), [("d", True), ("e", False)])
def test_a_fold_is_not_started_from_a_model_of_its_dataset(dataset, refused):
    config = {"dataset": {"name": "d", "format": "severstal_csv", "root": "data", "classes": {1: "a"}}}
    config["dataset"]["synthetic"] = {"n_images": 10}
    config["experiments"] = [
        {"model": "unet", "cv": 5, "init_from": f"runs/{dataset}/unet/x/model/weights.safetensors"}
    ]
    if refused:
        with pytest.raises(ConfigError, match="init_from is a model of this dataset"):
            load_study(config)
    else:
        assert load_study(config)


def test_weights_that_do_not_fit_end_the_training_with_their_names(folder, first, tmp_path, capsys):
    with pytest.raises(SystemExit):
        train(folder, tmp_path, init_from=first, task="per_class")
    assert "network.segmentation_head.0.weight is 1 × 16 × 3 × 3, in the network 4 × 16" in capsys.readouterr().err


def test_a_training_that_ran_out_of_memory_ends_in_the_next_attempt_and_says_so(folder, tmp_path, monkeypatch, capsys):
    forward = UNet.forward

    def limited(self, images):
        if self.training and len(images) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, images)

    monkeypatch.setattr(UNet, "forward", limited)
    with pytest.raises(SystemExit):
        train(folder, tmp_path)
    assert "with 2 images at a time (batch_size 2, accumulate 1, devices 1)" in capsys.readouterr().err
    run, _ = train(folder, tmp_path)
    assert (run["steps"], run["batch_parts"], run["settings"]["batch_size"]) == (2, 2, 2)
    assert pd.read_csv(tmp_path / "exp" / "history.csv")["images_seen"].tolist() == [0, 2, 4]


@pytest.mark.slow
def test_two_devices_leave_one_set_of_results(folder, tmp_path):
    command = [sys.executable, "-m", "defectbench.on_gpu", "--devices", "2", "--usage", tmp_path / "usage.json"]
    command += [ROOT / "workflow/scripts/train_unet.py", *arguments(folder, tmp_path, devices=2)]
    environment = os.environ | {"PYTHONPATH": python_path(ROOT / "workflow")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best at step") == 1
    run = read_json(tmp_path / "exp" / "run.json")
    assert (run["settings"]["devices"], run["steps"]) == (2, 2)
    names = {path.name for path in (tmp_path / "exp").iterdir()}
    assert names == {"checkpoints", "history.csv", "model", "run.json", "samples", "state"}

"""What every family must do: train, save, reload, and predict the same maps, without ever reading a label of test.

The families are those of the registry, so a new one is tested by its row there; their experiments are those of
tests/support/tiny_experiments.py.
"""

import copy
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tiny_experiments import ROLES, TRAINED, TRUTH, Experiment, smallest
from tiny_training import power_loss
from torch import nn
from yolo_data import write_deep_copy, write_files, write_noisy_copy

from defectbench.config.augment import AugmentSettings
from defectbench.config.families.registry import FAMILIES
from defectbench.config.prompts import PromptSettings
from defectbench.config.train import TrainSettings
from defectbench.data.packing import ImagePack
from defectbench.families.registry import load_experiment
from defectbench.files import file_sha256, read_json
from defectbench.inference.map_codec import compress, decompress

REPEATING = ("yolo", "sam2", "sam2_head", "sam3")
"""Families whose networks take three channels: grey images are repeated."""


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """Ten images; one of test has a size of its own that no stride divides."""
    folder = tmp_path_factory.mktemp("conformance") / "runs" / "toy"
    write_files(folder, TRUTH, ROLES)
    PromptSettings().write(folder / "prompts.yaml")
    return folder


@pytest.fixture(scope="session")
def noisy_dataset(dataset) -> Path:
    """The same images; the truth of the test images is noise."""
    return write_noisy_copy(dataset, dataset.with_name("noise"), ROLES)


@pytest.fixture(scope="session")
def deep_dataset(dataset) -> Path:
    """The same images as channels 1, 3 and 4 of five, 16 bits deep; the others are noise."""
    return write_deep_copy(dataset, dataset.with_name("deep"), (1, 3, 4))


@pytest.fixture(scope="module", params=TRAINED)
def experiment(request, dataset, tmp_path_factory) -> Experiment:
    """A trained experiment of each family, with its predictions."""
    experiment = Experiment(request.param, dataset, tmp_path_factory.mktemp(request.param))
    experiment.train()
    experiment.predict(dataset / "packed")
    return experiment


@pytest.fixture
def without_labels(dataset, tmp_path) -> Path:
    """A pack of the images alone."""
    for path in (dataset / "packed").glob("images.*"):
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.mark.parametrize("family", TRAINED)
def test_an_augmentation_of_the_settings_is_that_of_the_training(family):
    if "augment" in FAMILIES[family].model_fields:
        settings = smallest(family).model_dump() | {"augment": {"hflip": 0.25}}
        assert FAMILIES[family].model_validate(settings).traits.augment == AugmentSettings(hflip=0.25)


def test_a_training_leaves_weights_history_and_record(experiment):
    run = read_json(experiment.folder / "run.json")
    assert {"epoch", "step"} <= set(pd.read_csv(experiment.folder / "history.csv").columns)
    assert run["experiment"]["family"] == experiment.family
    assert tuple(run["classes"]) == ("merged",)
    assert (run["weights_sha256"], run["weights_bytes"]) == (
        file_sha256(experiment.weights),
        experiment.weights.stat().st_size,
    )
    assert run["n_labels_train"] == 6
    assert 0 <= run["params_trainable"] <= run["params_total"]
    assert run["code_digest"] == "0"
    assert not (experiment.folder / "state").exists() or not list((experiment.folder / "state").glob("*/"))


def test_what_is_to_be_compiled_is_called_in_training_and_in_validation(experiment, tmp_path, monkeypatch):
    if not isinstance(experiment.settings, TrainSettings):
        pytest.skip("no network, or ultralytics compiles it")
    calls, again = [], copy.copy(experiment)
    again.folder = tmp_path

    def count(module, **_):
        module.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))

    monkeypatch.setattr(nn.Module, "compile", count)
    again.train(compile=True)
    assert set(calls) == {True, False}
    assert again.weights.read_bytes() == experiment.weights.read_bytes()


def test_maps_are_at_the_images_own_pixels(experiment):
    assert {image_id: codes.shape for image_id, codes in experiment.read_maps_of_test().items()} == {
        image_id: (1, *TRUTH[image_id].shape[1:]) for image_id, role in ROLES.items() if role == "test"
    }


def test_maps_depend_on_the_image(experiment):
    """So that none of the other tests holds because maps are constant."""
    assert all(len(np.unique(codes)) > 1 for codes in experiment.read_maps_of_test().values())


def test_reloaded_weights_give_the_same_maps_without_any_label(experiment, dataset, without_labels):
    assert experiment.predict(without_labels) == experiment.predict(dataset / "packed")


def test_a_new_image_is_predicted_as_the_same_image_of_the_dataset(experiment, dataset, monkeypatch):
    monkeypatch.chdir(experiment.folder.parents[3])
    predictor, classes = load_experiment(experiment.folder)
    images = ImagePack(dataset / "packed")
    for image_id, codes in experiment.read_maps_of_test().items():
        np.testing.assert_array_equal(as_stored(predictor(np.asarray(images[image_id]))), codes)
    assert classes == ("merged",)
    for shape in ((33, 47), (33, 47, 3), (97, 33)):
        image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        codes = predictor(image)
        assert (codes.shape, codes.dtype) == ((1, *shape[:2]), np.uint16)


def test_noise_in_place_of_the_truth_of_test_changes_nothing(experiment, noisy_dataset, tmp_path):
    noisy = Experiment(experiment.family, noisy_dataset, tmp_path)
    noisy.train()
    if noisy.weights.suffix == ".safetensors":
        tensors, noisy_tensors = load_file(experiment.weights), load_file(noisy.weights)
        assert tensors.keys() == noisy_tensors.keys()
        assert all(tensors[name].equal(noisy_tensors[name]) for name in tensors)
    else:
        assert noisy.weights.read_bytes() == experiment.weights.read_bytes()
    expected = {role: (experiment.folder / f"{role}.pred.parquet").read_bytes() for role in ("val", "test")}
    assert noisy.predict(noisy_dataset / "packed") == expected


def test_an_interrupted_training_ends_as_an_undisturbed_one(experiment, dataset, tmp_path):
    """Resumed from the checkpoint of its first step or, where a family keeps none, from the start: the same weights."""
    again = Experiment(experiment.family, dataset, tmp_path)
    with power_loss(step=2):
        again.train()
    assert not (again.folder / "run.json").exists()
    again.train()
    assert again.weights.read_bytes() == experiment.weights.read_bytes() or same_tensors(again, experiment)


def test_deep_images_in_some_of_many_channels_are_those_of_8_bits(experiment, deep_dataset, tmp_path, monkeypatch):
    """Grey images are one channel of five, or three equal ones for families that repeat it: the same training."""
    channels = (3, 1, 4) if experiment.family in REPEATING else (3,)
    deep = Experiment(experiment.family, deep_dataset, tmp_path, input_channels=channels)
    deep.train()
    run = read_json(deep.folder / "run.json")
    assert f"sees channels {', '.join(map(str, channels))} of 5, counted from 0" in run["notes"]
    assert deep.weights.read_bytes() == experiment.weights.read_bytes() or same_tensors(deep, experiment)
    expected = {role: (experiment.folder / f"{role}.pred.parquet").read_bytes() for role in ("val", "test")}
    assert deep.predict(deep_dataset / "packed") == expected
    monkeypatch.chdir(tmp_path)
    predictor, _ = load_experiment(deep.folder)
    images = ImagePack(deep_dataset / "packed")
    for image_id, codes in deep.read_maps_of_test().items():
        np.testing.assert_array_equal(as_stored(predictor(images.stored(image_id))), codes)


def as_stored(codes: np.ndarray) -> np.ndarray:
    """``codes`` (C, H, W) as a prediction file rounds them."""
    return np.stack([decompress(compress(plane), *plane.shape) for plane in codes])


def same_tensors(first: Experiment, second: Experiment) -> bool:
    """Whether the weights are the same: the headers of their files may name other images."""
    tensors, others = load_file(first.weights), load_file(second.weights)
    return tensors.keys() == others.keys() and all(tensors[name].equal(others[name]) for name in tensors)

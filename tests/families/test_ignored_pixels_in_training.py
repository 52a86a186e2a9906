"""Ignored pixels in the training of every family: nothing that is learned or chosen depends on their labels."""

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from tiny_experiments import ROLES, SIZE, TRAINED, TRUTH, Experiment
from yolo_data import write_files

from defectbench.config.prompts import PromptSettings
from defectbench.files import read_json

IGNORED = np.zeros(SIZE, bool)
IGNORED[20:44, 30:70] = True  # parts of both shapes and of what is between them
DECIDED = {image_id: masks * ~IGNORED if masks.shape[1:] == SIZE else masks for image_id, masks in TRUTH.items()}
HIDDEN = {
    image_id: masks | np.random.default_rng(7).integers(0, 2, masks.shape, dtype=np.uint8) * IGNORED
    if masks.shape[1:] == SIZE
    else masks
    for image_id, masks in DECIDED.items()
}
AUGMENT = {"rotate": 1.0, "degrees": 30, "elastic": 1.0, "hflip": 0.5}
SCALED = {"img_size": "96", "resize": "longest_pad", "sampler": "balanced", "augment": AUGMENT}
# What differs from the smallest experiment of the family: everything that reads labels is used.
WAYS = {
    "unet, presence, crops": ("unet", {"presence_head": True, "mode": "crops", "crop": "32x32", "defect_crops": 1.0}),
    "unet, per class, scaled": ("unet", {"task": "per_class", "loss": "tversky", **SCALED}),
    "sam2": ("sam2", {"prompt": "box", "recipe": "published", "correction_clicks": 2}),
    "sam2_head": ("sam2_head", {}),
    "sam3": ("sam3", {"instance_weight": 1.0, "presence_weight": 1.0}),
    "reference": ("reference", {}),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Datasets that differ in labels of ignored pixels alone; of the last, no pixels are ignored."""
    top, by_name = tmp_path_factory.mktemp("ignored") / "runs", {}
    for name, (truth, ignored) in {
        "decided": (DECIDED, IGNORED),
        "hidden": (HIDDEN, IGNORED),
        "background": (DECIDED, None),
    }.items():
        by_name[name] = top / name
        write_files(by_name[name], truth, ROLES, ignored, shown=TRUTH)
        PromptSettings().write(by_name[name] / "prompts.yaml")
    return by_name


def trained(family, folder, top, **keys):
    """Weights, history without times, and the record's scores."""
    experiment = Experiment(family, folder, top, **keys)
    experiment.train()
    weights = experiment.weights
    if weights.suffix == ".safetensors":
        values = {name: tensor.numpy().tobytes() for name, tensor in load_file(weights).items()}
    else:
        values = read_json(weights)
    history = pd.read_csv(experiment.folder / "history.csv")
    times = ["epoch_time", "images_per_second", "data_wait_share", "peak_memory"]
    run = read_json(experiment.folder / "run.json")
    facts = {key: run.get(key) for key in ("val_scores", "best_step", "notes")}
    return values, history.drop(columns=times, errors="ignore").to_csv(), facts


@pytest.mark.parametrize("way", WAYS)
def test_labels_of_ignored_pixels_change_nothing(folders, tmp_path, way):
    family, keys = WAYS[way]
    decided, hidden, background = (trained(family, folder, tmp_path / name, **keys) for name, folder in folders.items())
    assert decided == hidden
    assert family == "reference" or decided[0] != background[0]


def test_yolo_learns_them_as_background_and_says_so(folders, tmp_path):
    decided, background = (trained("yolo", folders[name], tmp_path / name) for name in ("decided", "background"))
    assert decided[0] == background[0]
    note = "ignored pixels are background in training: ultralytics cannot leave them out"
    assert decided[2]["notes"] == [*background[2]["notes"], note]
    assert decided[2]["val_scores"] != background[2]["val_scores"]


def test_every_family_is_here():
    assert {family for family, _ in WAYS.values()} | {"yolo"} == {*TRAINED}

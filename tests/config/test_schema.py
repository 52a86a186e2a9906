"""config/schema.json: up to date, valid for every study, and wrong for mistakes."""

import copy
import importlib.util
import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from tiny_study import ROOT

STUDIES = sorted((ROOT / "config").rglob("*.yaml"))
SCHEMA = ROOT / "config" / "schema.json"
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def load(path: Path) -> dict:
    """A study as editors see it: JSON has no keys but text."""
    return json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8"))))


def mistakes(config):
    return [".".join(map(str, error.absolute_path)) for error in VALIDATOR.iter_errors(config)]


def test_the_schema_is_up_to_date():
    spec = importlib.util.spec_from_file_location("make_schema", ROOT / "docs" / "make_schema.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert SCHEMA.read_text(encoding="utf-8") == module.as_text(module.study_schema()) + "\n"
    Draft202012Validator.check_schema(module.study_schema())


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_fits_the_schema_and_names_it(path):
    assert mistakes(load(path)) == []
    first = path.read_text(encoding="utf-8").splitlines()[0]
    prefix = "# yaml-language-server: $schema="
    assert first.startswith(prefix)
    assert (path.parent / first.removeprefix(prefix)).resolve() == SCHEMA


@pytest.mark.parametrize(
    ("keys", "value", "where"),
    [
        (["experimets"], [], ""),
        (["split", "trian"], 0.5, "split"),
        (["split", "on_leak"], "ignore", "split"),
        (["dataset", "rot"], "x", "dataset"),
        (["dataset", "synthetic", "n_image"], 3, "dataset.synthetic"),
        (["defaults", "epohcs"], 3, "defaults"),
        (["defaults", "name"], "x", "defaults"),
        (["experiments", 0, "encodr"], "resnet18", "experiments.0"),
        (["experiments", 0, "model"], "unett", "experiments.0.model"),
        (["experiments", 0, "model"], ["unet", "unett"], "experiments.0.model"),
        (["experiments", 0, "name"], "a/b", "experiments.0.name"),
        (["experiments", 0, "batch_size"], [8, 0], "experiments.0.batch_size"),
        (["experiments", 0, "augment"], {"hflop": 0.5}, "experiments.0.augment"),
        (["experiments", 0, "scale"], "n", "experiments.0"),
        (["experiments", 6, "prompts", "kinds"], "box", "experiments.6.prompts"),
    ],
)
def test_mistakes_do_not_fit_the_schema(keys, value, where):
    config = load(ROOT / "config" / "config.yaml")
    group = config
    for key in keys[:-1]:
        group = group[key]
    group[keys[-1]] = value
    found = mistakes(config)
    assert found
    assert all(path.startswith(where) for path in found)


@pytest.mark.parametrize(
    "entry",
    [
        {
            "model": ["unet", "fpn"],
            "augment": ["steel", "none", {"hflip": 0}],
            "subset": [100, "full"],
            "cv": [None, 5],
        },
        {"model": "unet", "pos_weight": [1, {"a": 2.5}], "seed": [1, 2], "task": "per_class"},
        {"model": "sam3", "phrases": "crack"},
        {"model": "sam3", "phrases": [["crack", "fissure"], ["line"]]},
        {"model": "sam2", "version": [2.1, "2"]},
        {"model": "ensemble", "members": [["a", "b"], ["c", "d"]]},
        {"model": "cascade", "segmenter": ["a", "b"], "prompts": [{"from": "oracle", "noise": 0.1}]},
        {"model": ["unet", "yolov8-seg"], "lr": [0.1, 0.2]},
    ],
)
def test_grids_and_short_forms_fit_the_schema(entry):
    config = load(ROOT / "config" / "config.yaml")
    assert mistakes({**copy.deepcopy(config), "experiments": [entry]}) == []

"""Cascades in the configuration: one line, resolved to two experiments; what cannot be is refused with a reason."""

from pathlib import Path

import pytest
import yaml

from defectbench.config.base import ConfigError
from defectbench.config.families.cascade import ResolvedCascade
from defectbench.config.prompts import prompts_path
from defectbench.config.study import load_study

DATASET = {
    "name": "x",
    "format": "severstal_csv",
    "root": "x",
    "classes": {1: "a"},
    "synthetic": {"n_images": 40, "height": 32, "width": 64, "seed": 1},
}
UNET, YOLO, SAM2 = "unet-resnet34_100_none_native", "yolov8-n_full_none_64", "sam2-2.1-tiny-random_full_box_native"
STAGES = [
    {"model": "unet", "subset": 100, "seed": [1, 42]},
    {"model": "yolov8", "img_size": "64"},
    {"model": "sam2", "init": "random", "seed": [1, 42]},
    {"model": "ensemble", "members": [f"{UNET}_s1", f"{UNET}_s42"]},
    {"model": "ensemble", "members": [f"{SAM2}_s1", f"{SAM2}_s42"]},
]


def study(*cascades, **prompts):
    entries = cascades or ({"prompts": prompts},)
    cascades = [{"model": "cascade", "segmenter": SAM2} | entry for entry in entries]
    return load_study({"dataset": DATASET, "experiments": STAGES + cascades})


def cascades(*entries, **prompts):
    return study(*entries, **prompts).of_family("cascade")


def test_ids_without_a_seed_are_those_with_the_seed_of_the_cascade():
    entry = {"prompts": {"from": UNET}, "seed": [1, 42]}
    first, second = cascades(entry)
    assert [(one.settings.prompts.source, one.settings.segmenter) for one in (first, second)] == [
        (f"{UNET}_s1", f"{SAM2}_s1"),
        (f"{UNET}_s42", f"{SAM2}_s42"),
    ]
    assert first.id_without_seed == second.id_without_seed
    shared = study(entry).experiment_of()
    assert shared[first.exp_id] == shared[second.exp_id]


def test_ids_say_what_the_stages_are_and_differ_with_them():
    kinds = [{"from": UNET, "kind": kind} for kind in ("box", "points", "box_points", "mask")]
    noises = [{"from": "oracle", "noise": noise} for noise in (0, 0.05, 0.1)]
    actual = cascades({"prompts": [*kinds, *noises, {"from": YOLO}, {"from": "fixed", "kind": "full_box"}]})
    ids = [one.exp_id for one in actual]
    assert len(set(ids)) == len(ids) == 9
    assert ids[0].startswith("cascade-unet-resnet34+sam2-2.1-tiny-random_100_box_native_stages-")
    assert ids[5].startswith("cascade-oracle+sam2-2.1-tiny-random_full_box_native_stages-")
    assert ids[5].endswith("_noise-0.05_s42")
    # A spelled-out seed names the same experiments.
    (spelled,) = cascades({"segmenter": f"{SAM2}_s42", "prompts": {"from": f"{UNET}_s42"}})
    assert spelled.exp_id in [one.exp_id for one in cascades({"prompts": {"from": UNET}})]


def test_the_same_cascade_twice_is_a_mistake():
    with pytest.raises(ConfigError, match="is listed twice"):
        study({"prompts": {"from": UNET}}, {"prompts": {"from": f"{UNET}_s42"}})


def test_settings_are_written_and_read_back_the_same(tmp_path):
    (actual,) = cascades({"prompts": {"from": UNET, "kind": "mask"}})
    actual.settings.write(tmp_path / "train.yaml")
    assert yaml.safe_load((tmp_path / "train.yaml").read_text())["prompts"]["from"] == f"{UNET}_s42"
    assert ResolvedCascade.read(tmp_path / "train.yaml") == actual.settings


def test_an_ensemble_of_maps_may_make_prompts():
    of_unets = study({"prompts": {"from": UNET}}).of_family("ensemble")[0].exp_id
    (actual,) = cascades({"prompts": {"from": of_unets}})
    assert actual.traits.prompt_source == of_unets


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"prompts": {"from": "unt"}}, "prompts.from: no experiment 'unt'"),
        ({"prompts": {"from": UNET}, "segmenter": UNET}, f"segmenter: no experiment '{UNET}'; .*{SAM2}"),
        ({"prompts": {"from": UNET}, "seed": 7}, "no experiment"),
        ({"prompts": {"from": YOLO, "kind": "mask"}}, "gives boxes alone"),
        ({"prompts": {"from": SAM2}}, "prompted from the true masks"),
        ({"prompts": {"from": "fixed"}}, "'fixed' is for full_box alone"),
        ({"prompts": {"from": UNET, "kind": "full_box"}}, "'fixed' is for full_box alone"),
        ({"prompts": {"from": UNET, "noise": 0.1}}, "noise moves true boxes"),
        ({"prompts": {"from": "oracle", "kind": "points", "noise": 0.1}}, "noise moves true boxes"),
        ({"prompts": {"from": UNET, "kind": "text"}}, "prompts.kind: 'text' is not allowed"),
        ({"prompts": {"kind": "box"}}, "prompts.from: required"),
        ({"prompts": {"from": UNET}, "cv": 5}, "cv is for models that are trained"),
    ],
)
def test_impossible_cascades_are_refused_with_the_reason(entry, problem):
    with pytest.raises(ConfigError, match=problem):
        study(entry)


def test_an_ensemble_of_oracle_members_makes_no_prompts():
    oracle = study({"prompts": {"from": UNET}}).of_family("ensemble")[1].exp_id
    with pytest.raises(ConfigError, match="prompted from the true masks"):
        study({"prompts": {"from": oracle}})


def test_files_of_prompts_are_named_by_source_kind_and_noise():
    assert prompts_path("oracle", "box") == "oracle/box.parquet"
    assert prompts_path("oracle", "box_points", 0.05) == "oracle/box_points_noise-0.05.parquet"


@pytest.mark.parametrize(("name", "n"), [("config", 4), ("severstal", 12)])
def test_the_cascades_of_the_given_studies_name_experiments_that_are_there(name, n):
    config = yaml.safe_load((Path(__file__).parents[3] / "config" / f"{name}.yaml").read_text())
    config["dataset"]["synthetic"] = DATASET["synthetic"]
    assert len(load_study(config).of_family("cascade")) == n

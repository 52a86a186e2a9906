"""Settings of the SAM 2 family: protocol values, ids, and combinations that are refused."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from small_datasets import write_image

from defectbench.config.base import ConfigError
from defectbench.config.experiment import Experiment
from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.families.sam2_encoder import SIZES, parse_base_name
from defectbench.config.families.sam2_head import Sam2HeadSettings
from defectbench.config.study import load_study

ROOT = Path(__file__).parents[3]
PUBLISHED = sorted(set(SIZES) - {"nano"})


def exp_id(family, **keys):
    settings = {"sam2": Sam2Settings, "sam2_head": Sam2HeadSettings}[family](**keys)
    return Experiment(family, 100, settings).exp_id


def test_values_not_given_are_those_of_the_protocol():
    lora, full, head = Sam2Settings(tune="lora"), Sam2Settings(tune="full"), Sam2HeadSettings()
    assert (lora.lr, lora.wd, lora.batch_size, lora.lora_target) == (1e-3, 0.05, 8, "both")
    assert lora.images_seen == full.images_seen == head.images_seen
    assert (full.lr, full.wd) == (1e-5, 1e-4)
    assert (head.lr, head.wd) == (1e-4, 1e-4)
    assert Sam2Settings(tune="lora", lr=5e-4).lr == 5e-4


@pytest.mark.parametrize(
    ("family", "keys", "expected"),
    [
        ("sam2", {}, "sam2-2.1-tiny_100_box_native_s42"),
        ("sam2", {"object_score_cut": True}, "sam2-2.1-tiny_100_box_native_object-score-cut-True_s42"),
        ("sam2", {"init": "random", "prompt": "points"}, "sam2-2.1-tiny-random_100_points_native_s42"),
        ("sam2", {"tune": "lora", "size": "large"}, "sam2-2.1-large_100_box_native_tune-lora_s42"),
        ("sam2", {"tune": "lora", "version": 2, "lr": 2e-3}, "sam2-2-tiny_100_box_native_lr-0.002_tune-lora_s42"),
        # What a zero-shot model does not use, and what changes no result, is no part of the id.
        ("sam2", {"lr": 0.5, "steps": 3, "cache_embeddings": True}, "sam2-2.1-tiny_100_box_native_s42"),
        ("sam2_head", {}, "sam2_head-2.1-tiny_100_none_native_s42"),
    ],
)
def test_ids_are_legible(family, keys, expected):
    assert exp_id(family, **keys) == expected


@pytest.mark.parametrize(
    "keys",
    [
        {"prediction": "tiles"},
        {"prompt": "full_box", "mixed_prompts": True},
        {"cache_embeddings": True, "tune": "full"},
        {"cache_embeddings": True, "tune": "lora"},
        {"layer_decay": 0.9, "tune": "full", "schedule": "one_cycle"},
        {"task": "per_class"},
        {"train_prompts": "folds"},
        {"train_prompts": "folds", "tune": "full", "prompt": "points"},
        {"train_prompts": "folds", "tune": "full", "mixed_prompts": True},
        {"train_prompts": "folds", "tune": "full", "mode": "pre_crops", "crop": "32x32"},
        {"size": "nano"},
    ],
)
def test_combinations_without_a_meaning_are_refused(keys):
    with pytest.raises(ValidationError):
        Sam2Settings(**keys)


@pytest.mark.parametrize(
    ("source", "by_default"), [("oracle", False), ("fixed", True), ("yolov8-s_full_none_1600_s42", True)]
)
def test_the_object_score_cuts_masks_of_all_prompts_but_true_ones_unless_it_is_set(source, by_default):
    assert Sam2Settings().cuts_at_object_score(source) == by_default
    for value in (True, False):
        assert Sam2Settings(object_score_cut=value).cuts_at_object_score(source) == value


def test_a_base_name_says_which_weights_it_is():
    for size in SIZES:
        for version in ("2", "2.1"):
            keys = {"size": size, "version": version}
            if size in PUBLISHED:
                assert parse_base_name(Sam2Settings(**keys).base_name) == (version, size, None)
            assert parse_base_name(Sam2Settings(**keys, init="random", seed=7).base_name) == (version, size, 7)
    with pytest.raises(ConfigError, match="names no weights"):
        parse_base_name("sam3_huge")


def test_every_size_and_version_has_a_source_and_a_digest():
    table = yaml.safe_load((ROOT / "resources" / "weights.yaml").read_text())
    for size in PUBLISHED:
        for version in ("2", "2.1"):
            entry = table[Sam2Settings(size=size, version=version).base_name]
            assert entry["url"].startswith("https://")
            assert entry["url"].endswith(f"sam{version}_hiera_{size}.pt")
            assert len(entry["sha256"]) == 64


@pytest.mark.parametrize(("name", "n"), [("sam2_subsets", 65), ("sam2_lora", 17)])
def test_the_studies_are_valid(name, n, tmp_path):
    config = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    write_image(tmp_path / "train_images" / "0.png")
    (tmp_path / "train.csv").write_text("ImageId,ClassId,EncodedPixels\n")
    config["dataset"]["root"] = str(tmp_path)
    study = load_study(config)
    assert len(study.experiments) == n
    assert len({experiment.exp_id for experiment in study.experiments}) == n


FOLDS = {"model": "unet", "name": "folds", "cv": 5}


def prompted(*others, **keys) -> list[Experiment]:
    """The SAM 2 experiments of a study whose training others prompt."""
    dataset = {"name": "x", "format": "severstal_csv", "root": "x", "classes": {1: "a"}, "synthetic": {"n_images": 40}}
    entry = {"model": "sam2", "name": "sam", "init": "random", "tune": "lora", "train_prompts": "folds"} | keys
    study = {"dataset": dataset, "split": {"n_folds": 5}, "experiments": [entry, *others]}
    return load_study(study).of_family("sam2")


def test_training_prompts_refer_to_a_cross_validated_experiment():
    plain = "sam2-2.1-tiny-random_full_box_native_tune-lora"
    (named,) = prompted(FOLDS)
    assert named.settings.train_prompts == named.traits.train_prompt_source == "unet-resnet34_full_none_native_cv5_s42"
    assert named.id_without_seed.startswith(f"{plain}_train-prompts-")
    # Its id depends on what it refers to, not on the words, nor on the seed that both have.
    (by_id,) = prompted(FOLDS, train_prompts="unet-resnet34_full_none_native_cv5")
    assert by_id.exp_id == named.exp_id
    (other,) = prompted(FOLDS | {"lr": 0.5})
    assert other.exp_id != named.exp_id
    seeds = prompted(FOLDS | {"seed": [1, 2]}, seed=[1, 2])
    assert [one.settings.train_prompts[-3:] for one in seeds] == ["_s1", "_s2"]
    assert {one.id_without_seed for one in seeds} == {named.id_without_seed}


@pytest.mark.parametrize(
    ("other", "keys", "problem"),
    [
        ({"model": "unet", "name": "folds"}, {}, "folds has learned from the images that it would prompt: give it cv"),
        (FOLDS, {"subset": 10}, "needs subset: full here too"),
        (FOLDS | {"init_from": "a.safetensors"}, {}, "starts from other weights"),
        (FOLDS, {"train_prompts": "fold"}, "no experiment 'fold'"),
    ],
)
def test_training_prompts_of_a_model_that_has_seen_the_image_are_refused(other, keys, problem):
    with pytest.raises(ConfigError, match=f"train_prompts: .*{problem}"):
        prompted(other, **keys)

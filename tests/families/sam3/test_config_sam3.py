"""Settings of SAM 3: phrases, sizes, ids, and combinations that are refused."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from small_datasets import write_image

from defectbench.config.base import ConfigError
from defectbench.config.experiment import Experiment
from defectbench.config.families.sam3 import Sam3Settings, parse_base_name
from defectbench.config.study import load_study

ROOT = Path(__file__).parents[3]


def exp_id(**keys):
    return Experiment("sam3", 100, Sam3Settings(**keys)).exp_id


def study(tmp_path, *entries):
    write_image(tmp_path / "train_images" / "0.png")
    (tmp_path / "train.csv").write_text("ImageId,ClassId,EncodedPixels\n")
    dataset = {"name": "x", "format": "severstal_csv", "root": str(tmp_path), "classes": {1: "crack", 2: "deep_pit"}}
    return load_study({"dataset": dataset, "experiments": [{"model": "sam3", **entry} for entry in entries]})


def test_defaults_are_the_protocols():
    lora = Sam3Settings(tune="lora")
    assert (lora.lr, lora.wd, lora.batch_size, lora.optimizer, lora.img_size) == (1e-4, 0.05, 1, "adamw", "1008")
    assert lora.accumulate > 1
    assert Sam3Settings(tune="lora", wd=0.01).wd == 0.01
    full = Sam3Settings(tune="full")
    assert (full.lr, full.wd) == (1e-5, 0.05)
    assert Sam3Settings(size="nano", init="random").img_size == "112"


def test_the_score_threshold_follows_from_what_the_map_is_and_whether_the_presence_is_trained():
    def threshold(**keys):
        return Sam3Settings(**keys).score_threshold

    assert (threshold(), threshold(map="instances")) == (0, 0.3)
    assert (threshold(tune="lora"), threshold(tune="lora", presence_weight=0)) == (0.5, 0)
    assert threshold(tune="full", map="instances", instance_weight=1) == 0.3
    assert threshold(tune="lora", score_threshold=0.1) == 0.1
    # It changes predictions alone.
    experiment = Experiment("sam3", 100, Sam3Settings(tune="lora", score_threshold=0.1))
    assert experiment.training.settings == Sam3Settings(tune="lora")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "sam3_100_text_1008_s42"),
        ({"size": "nano", "init": "random"}, "sam3-nano-random_100_text_112_s42"),
        ({"size": "nano", "init": "random", "img_size": "64x384"}, "sam3-nano-random_100_text_64x384_s42"),
        ({"tune": "lora", "lora_rank": 4}, "sam3_100_text_1008_tune-lora_lora-rank-4_s42"),
        # What zero-shot does not use, and what changes no result, is no part of the id.
        ({"lr": 0.5, "lora_rank": 4, "cache_embeddings": True}, "sam3_100_text_1008_s42"),
    ],
)
def test_ids_are_legible(keys, expected):
    assert exp_id(**keys) == expected


def test_ids_tell_phrases_and_targets_apart_that_look_alike():
    phrases = [["crack"], ["crack "], ["a b", "c"], ["a", "b c"], ["a-b"], ["a b"]]
    targets = [r".*\.q_proj", r".*.q_proj", r".*\.[q]_proj"]
    ids = [exp_id(phrases=value) for value in phrases] + [exp_id(tune="lora", lora_target=value) for value in targets]
    assert len(set(ids)) == len(ids)
    assert exp_id(phrases="crack").startswith("sam3_100_text_1008_phrases-crack-")
    assert exp_id(phrases="crack") == exp_id(phrases=["crack"])


def test_phrases_of_an_entry_are_one_value_and_lists_of_them_a_grid(tmp_path):
    actual = study(tmp_path, {"phrases": ["crack", "fissure"]}, {"phrases": [["hole"], ["hole", "pit"]]}).experiments
    assert [experiment.settings.phrases for experiment in actual] == [["crack", "fissure"], ["hole"], ["hole", "pit"]]
    assert {(experiment.traits.prompt, experiment.traits.prompt_source) for experiment in actual} == {("text", "fixed")}


def test_without_phrases_the_class_names_are_the_prompts():
    names = ("crack", "deep_pit")
    assert Sam3Settings().phrase_groups(names) == {"crack": ["crack"], "deep_pit": ["deep pit"]}
    assert Sam3Settings(phrases="x").phrase_groups(names) == {"merged": ["x"]}
    by_class = Sam3Settings(task="per_class", phrases={"deep_pit": "hole", "crack": ["crack", "split"]})
    assert list(by_class.phrase_groups(names).items()) == [("crack", ["crack", "split"]), ("deep_pit", ["hole"])]


def test_phrases_must_name_the_classes_of_the_dataset(tmp_path):
    with pytest.raises(ConfigError, match="phrases names crack; it must name crack, deep_pit"):
        study(tmp_path, {"task": "per_class", "phrases": {"crack": "crack"}})


@pytest.mark.parametrize(
    ("keys", "numbered"),
    [({}, ["class_1", "Class 2", "3"]), ({"phrases": "pit"}, []), ({"phrases": {"class_1": "pit"}}, [])],
)
def test_numbers_in_place_of_names_are_no_phrases(keys, numbered):
    warnings = Sam3Settings(**keys).warnings(["class_1", "Class 2", "3", "pit", "grade_4_crack"])
    assert [", ".join(numbered) in warning for warning in warnings] == [True] * bool(numbered)
    assert Sam3Settings(**keys).warnings(["pit"]) == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"img_size": "512"}, "position grid of the official network has side 1008"),
        ({"size": "nano", "init": "random", "img_size": "64x380"}, "multiples of 8"),
        ({"size": "nano"}, "no published weights"),
        ({"init": "random"}, "is for size 'nano'"),
        ({"map": "instances", "tune": "full"}, "instance_weight above 0"),
        ({"resize": "longest_pad"}, "squash"),
        ({"task": "per_class", "phrases": ["crack"]}, "needs phrases by class"),
        ({"cache_embeddings": True, "tune": "lora"}, "frozen image encoder"),
        ({"map": "instances", "tune": "lora"}, "instance_weight above 0"),
        ({"phrases": []}, "at least one phrase"),
        ({"phrases": ["crack", " "]}, "none of them empty"),
        ({"phrases": ["crack", "crack"]}, "each once"),
        ({"lora_target": "(q_proj"}, "no regular expression"),
        ({"mode": "crops", "crop": "64x64"}, "img_size and resize 'native'"),
    ],
)
def test_meaningless_combinations_are_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        Sam3Settings(**keys)


def test_a_base_name_says_which_weights_it_is():
    assert parse_base_name(Sam3Settings().base_name) is None
    assert parse_base_name(Sam3Settings(size="nano", init="random", seed=7).base_name) == 7
    with pytest.raises(ConfigError, match="names no weights"):
        parse_base_name("sam3_huge")


def test_the_study_of_cracks_is_valid(tmp_path):
    config = yaml.safe_load((ROOT / "config" / "cracks.yaml").read_text())
    root = tmp_path / "crack_segmentation_dataset"
    write_image(root / "images" / "0.jpg")
    write_image(root / "masks" / "0.jpg")
    config["dataset"]["root"] = str(tmp_path)
    actual = load_study(config)
    sam3 = actual.of_family("sam3")
    assert [experiment.settings.tune for experiment in sam3] == ["none"] * 3 + ["lora"] * 3
    assert {experiment.family for experiment in actual.experiments} >= {"unet", "yolo", "sam2", "sam2_head"}
    assert all(experiment.settings.batch_size == 1 for experiment in sam3 if experiment.settings.tune == "lora")
    assert actual.report.gallery_bands == ((0.9, 1.0), (0.7, 0.8), (0.55, 0.6))
    assert len(actual.report.ablations) == 3


@pytest.mark.parametrize(
    "dataset",
    [
        {"format": "mask_folder", "classes": {1: "crack"}, "mask_kind": "binary"},
        {"format": "yolo", "classes": {0: "crack"}},
    ],
)
def test_cracks_in_other_formats_need_another_section_dataset_alone(tmp_path, dataset):
    config = yaml.safe_load((ROOT / "config" / "cracks.yaml").read_text())
    for name in ("images", "masks"):
        write_image(tmp_path / name / "0.jpg")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "0.txt").touch()
    (tmp_path / "data.yaml").write_text("names: [crack]")
    config["dataset"] = {"name": "cracks", "root": str(tmp_path), **dataset}
    assert load_study(config).dataset.class_names

"""Configuration: every mistake is found, before any job runs, with its key path and what is allowed."""

import importlib.util

import pytest
import yaml
from study_config import BASE, changed, problems_of
from tiny_study import ROOT

from defectbench.config.base import ConfigError
from defectbench.config.families.unet import UNetSettings
from defectbench.config.ingest import read_dataset_settings
from defectbench.config.split import SplitSettings
from defectbench.config.study import SECTIONS, load_dataset, load_study


def test_lists_expand_to_the_grid():
    entry = {"model": "unet", "encoder": ["resnet18", "resnet34"], "subset": [100, "full"], "seed": [1, 2, 3]}
    ids = [experiment.exp_id for experiment in load_study(changed(experiments=[entry])).experiments]
    assert len(set(ids)) == 12
    assert "unet-resnet34_100_none_native_s3" in ids


def test_exp_id_names_settings_that_differ_from_the_defaults_and_no_others():
    def exp_id(**keys):
        return load_study(changed(experiments=[{"model": "unet", "encoder": "resnet18", **keys}])).experiments[0].exp_id

    assert exp_id() == "unet-resnet18_full_none_native_s42"
    assert exp_id(lr=UNetSettings().lr) == exp_id()
    assert exp_id(lr=1e-3) == "unet-resnet18_full_none_native_lr-0.001_s42"
    assert exp_id(img_size="128x800", resize="squash") == "unet-resnet18_full_none_128x800_resize-squash_s42"
    assert exp_id(lr=1.000001e-4) != exp_id()


def test_exp_id_does_not_depend_on_the_rest_of_the_configuration():
    alone = load_study(changed(experiments=[{"model": "unet", "encoder": "resnet34", "lr": 0.01}]))
    among = load_study(
        changed(
            defaults={"lr": 0.01},
            calibrate={"objective": "f1"},
            experiments=[{"model": "all_empty"}, {"model": "unet", "encoder": ["resnet18", "resnet34"]}],
        )
    )
    assert alone.experiments[0].exp_id in [experiment.exp_id for experiment in among.experiments]


def test_defaults_reach_the_families_that_know_them_and_yield_to_the_experiment():
    study = load_study(
        changed(
            defaults={"epochs": 3, "lr": 0.5},
            experiments=[{"model": "all_empty"}, {"model": "unet", "encoder": "resnet18", "lr": 0.1}],
        )
    )
    unet = study.of_family("unet")[0].settings
    assert (unet.epochs, unet.lr) == (3, 0.1)


def test_several_mistakes_are_reported_at_once_each_with_key_path_and_what_is_allowed():
    config = changed(
        sutdy="x",
        split={"on_leak": "ignore"},
        defaults={"epohcs": 3},
        experiments=[{"model": "unet", "encoder": "resnet19"}, {"model": "unett"}, {"model": "unet", "batch_size": 0}],
    )
    report = "\n".join(problems_of(config))
    assert "sutdy: unknown key; did you mean 'study'?" in report
    assert "split.on_leak: 'ignore' is not allowed; allowed: 'error' or 'drop_from_train'" in report
    assert "defaults.epohcs: unknown key; did you mean 'epochs'?" in report
    assert "experiments.0.encoder: 'resnet19' is not allowed" in report
    assert "resnet34" in report
    assert "experiments.1.model: 'unett' is not allowed; allowed: unet" in report
    assert "experiments.2.batch_size: 0" in report


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"model": "unet", "subset": "half"}, "experiments.0.subset: 'half'"),
        ({"model": "unet", "subset": 0}, "experiments.0.subset: 0"),
        ({"model": "unet", "img_size": "256"}, "img_size '256' does not go with resize 'native'"),
        ({"model": "all_empty", "lr": 1}, "experiments.0.lr: unknown key"),
        ({"model": "unet", "seed": [1, 1]}, "is listed twice"),
        ("unet", "experiments.0: must be a group of keys"),
    ],
)
def test_impossible_experiments_are_refused(entry, expected):
    assert any(expected in line for line in problems_of(changed(experiments=[entry])))


@pytest.mark.parametrize("section", ["defaults", *SECTIONS])
@pytest.mark.parametrize("value", [[1], [], "abc", 0, False])
def test_a_section_that_is_no_group_of_keys_is_refused(section, value):
    (problem,) = problems_of(changed(**{section: value}))
    assert problem == f"{section}: must be a group of keys, got {value!r}"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"model": ["unet", {"a": 1}]}, "experiments.0.model: {'a': 1} is not allowed"),
        ({"model": "unet", 1: 2}, "experiments.0"),
        ({"model": "unet", "seed": []}, "experiments.0.seed: an empty list; give at least one value"),
        ({"model": "all_empty", "cv": 5}, "all_empty_full_none_native_cv5_s42: cv averages scores"),
        (
            {"model": "sam3", "phrases": "pit", "cv": 5, "name": "zero"},
            "zero: zero-shot: each fold would have the same",
        ),
        (
            {"model": "sam2", "prompt": "box", "tune": "lora", "cv": 5, "name": "boxes"},
            "boxes: cv is for models that see",
        ),
        ({"model": "unet", "defaults": [1]}, "experiments.0.defaults: unknown key"),
    ],
)
def test_entries_of_the_wrong_kind_are_refused_with_their_key(entry, expected):
    assert problems_of(changed(experiments=[entry]))[0].startswith(expected)


@pytest.mark.parametrize(
    "entry",
    [
        {"model": "sam3", "phrases": "pit", "tune": "lora"},
        {"model": "sam2_head", "tune": ["head", "lora"]},
        {"model": "sam2", "prompt": "full_box", "tune": "lora"},
        {"model": "unet", "mode": "crops", "crop": "256x512", "prediction": "tiles", "overlap": 256},
    ],
)
def test_models_that_see_the_image_alone_can_be_cross_validated(entry):
    study = load_study(changed(split={"n_folds": 5}, experiments=[{**entry, "cv": 5}]))
    assert {experiment.cv for experiment in study.experiments} == {5}


def test_keys_that_are_numbers_are_unknown_keys():
    assert "7: unknown key" in "\n".join(problems_of(changed(**{"defaults": {7: 1}})))
    assert problems_of({**BASE, 7: 1})[0].startswith("7: unknown key")
    assert "dataset.format: ['x'] is not allowed" in problems_of(changed(dataset={"format": ["x"]}))[0]


@pytest.mark.parametrize(
    ("model", "values"),
    [
        ("sam2_head", {"cache_embeddings": [False, True]}),
        # crop has no effect in mode full.
        ("unet", {"crop": ["256x512", "128x128"]}),
    ],
)
def test_entries_that_differ_only_in_what_no_id_names_are_one_experiment_listed_twice(model, values):
    (problem,) = problems_of(changed(experiments=[{"model": model, **values}]))
    assert "is listed twice" in problem
    assert next(iter(values)) in problem


@pytest.mark.parametrize(
    ("model", "key", "value"),
    [("sam2_head", "cache_embeddings", True)],
)
def test_experiments_that_share_a_training_must_agree_on_what_no_id_names(model, key, value):
    entries = [{"model": model, key: value}, {"model": model, "tta": "hflip"}]
    (problem,) = problems_of(changed(experiments=entries))
    assert problem.endswith(f"have one training: give both the same {key}")
    assert load_study(changed(experiments=[{**entry, key: value} for entry in entries]))
    # No tiles: overlap has no effect.
    assert model != "unet" or load_study(changed(experiments=[{"model": model}, {**entries[1], "overlap": 7}]))


@pytest.mark.parametrize(("key", "value"), [("workers", 2), ("checkpoint_every", "5 epochs"), ("compile", True)])
def test_runtime_settings_are_those_of_the_study_and_in_no_id(key, value):
    plain, other = load_study(changed()), load_study(changed(runtime={key: value}))
    assert dict(other.runtime)[key] == value
    assert [one.exp_id for one in plain.experiments] == [one.exp_id for one in other.experiments]
    message = f"{key}: holds for all trainings; give it in the section runtime"
    misplaced = changed(defaults={key: value}, experiments=[{"model": "unet", key: value}])
    assert problems_of(misplaced) == [f"defaults.{message}", f"experiments.0.{message}"]


def test_ensembles_that_resolve_to_the_same_members_are_listed_twice():
    shared = "unet-resnet18_full_none_native"
    members = [f"{shared}_s1", f"{shared}_s2"]
    other = "tophat_otsu_full_none_native_s42"
    entries = [{"model": "unet", "encoder": "resnet18", "seed": [1, 2]}, {"model": "tophat_otsu"}]
    entries += [{"model": "ensemble", "members": [[shared, other], [*members, other]]}]
    (problem,) = problems_of(changed(experiments=entries))
    assert problem.endswith("is listed twice")


def test_shares_must_add_up():
    assert "must be 1" in problems_of(changed(split={"train": 0.9, "val": 0.2, "test": 0.1}))[0]


def test_missing_data_folder_is_named_with_the_way_out(tmp_path):
    dataset = {"name": "d", "format": "mask_folder", "root": str(tmp_path / "nowhere"), "classes": {1: "a"}}
    (problem,) = problems_of(changed(dataset=dataset))
    assert str(tmp_path / "nowhere") in problem
    assert "--config" in problem


def test_unknown_format_lists_the_known_ones():
    (problem,) = problems_of(changed(dataset={**BASE["dataset"], "format": "coco2"}))
    assert "severstal_csv" in problem
    assert "mask_folder" in problem


def test_settings_survive_a_round_trip_and_are_written_only_if_changed(tmp_path):
    path = tmp_path / "train.yaml"
    settings = UNetSettings(encoder="resnet18", lr=3e-4, img_size="64x320", resize="squash")
    settings.write(path)
    before = path.stat().st_mtime_ns
    settings.write(path)
    assert path.stat().st_mtime_ns == before
    assert UNetSettings.read(path) == settings
    UNetSettings(encoder="resnet18").write(path)
    assert UNetSettings.read(path).lr == 1e-4


def test_dataset_settings_survive_a_round_trip(tmp_path):
    dataset = load_study(BASE).dataset
    dataset.write(tmp_path / "ingest.yaml")
    assert read_dataset_settings(tmp_path / "ingest.yaml") == dataset
    assert dataset.class_names == ("a", "b")


def test_a_settings_file_with_a_wrong_key_names_file_and_key(tmp_path):
    path = tmp_path / "split.yaml"
    path.write_text("sede: 1\n")
    with pytest.raises(ConfigError, match=r"split\.yaml: sede: unknown key; did you mean 'seed'"):
        SplitSettings.read(path)


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_in_config_is_valid(path, tmp_path):
    config = yaml.safe_load(path.read_text())
    if "synthetic" not in config["dataset"]:
        # A stand-in for the data, which a clone does not have.
        config["dataset"]["root"] = str(tmp_path)
        own = [config["dataset"][key] for key in ("images_dir", "masks_dir") if key in config["dataset"]]
        for name in ("images", "train_images", "masks", *own):
            (tmp_path / name).mkdir(parents=True)
            (tmp_path / name / "a.jpg").touch()
        (tmp_path / "train.csv").touch()
    assert load_study(config).experiments


def test_the_configuration_reference_is_up_to_date():
    spec = importlib.util.spec_from_file_location("make_configuration", ROOT / "docs" / "make_configuration.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "configuration.md").read_text() == module.reference()


def test_a_number_of_images_may_be_text_as_on_snakemakes_command_line():
    (found,) = load_study(changed(experiments=[{"model": "unet", "subset": "100"}])).experiments
    assert found.subset == 100


@pytest.mark.parametrize("change", [{"root": "da{ta}"}, {"images_dir": "a{b}"}, {"csv": "t}.csv"}])
def test_generated_data_go_to_a_path_without_braces(change):
    (problem,) = problems_of(changed(dataset=BASE["dataset"] | change))
    assert "cannot write generated or downloaded data to a path with braces" in problem
    assert next(iter(change.values())) in problem


def test_downloaded_data_go_to_a_path_without_braces():
    given = {key: value for key, value in BASE["dataset"].items() if key != "synthetic"}
    fetch = {"kaggle_competition": "severstal-steel-defect-detection"}
    with pytest.raises(ConfigError, match="path with braces"):
        load_dataset({"dataset": given | {"root": "da{ta}", "fetch": fetch}})

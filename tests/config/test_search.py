"""The ranking of a search: by val, from what trainings recorded, and from nothing else."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
import search as search_script
import yaml
from study_config import changed
from tiny_study import ROOT, Project

from defectbench.config.base import ConfigError
from defectbench.config.report import NamesSettings
from defectbench.config.study import load_study
from defectbench.files import read_json, write_json
from defectbench.reporting.search import MEASURED, rank_trainings

SCORES = {
    "a": ({"lr": 0.01, "loss": "bce"}, 0.40, 0.70),
    "b": ({"lr": 0.001, "loss": "bce"}, 0.60, 0.65),
    "c": ({"lr": 0.001, "loss": "dice", "cycles": 3}, 0.10, 0.20),
}


BOXES = {"model": ["yolov8", "yolo11"]}
NOT_TRAINED = {"model": "all_empty"}


def write(folder, monitor, scores=SCORES):
    """Trainings as their folders hold them; only what the ranking may read."""
    for name, (settings, iou, dice) in scores.items():
        run = {
            "experiment": {"exp_id": name, "subset": "full", "model": "unet"},
            "settings": {**settings, "monitor": monitor, "wd": 0.1},
            "val_scores": {**dict.fromkeys(MEASURED, iou), "val_dice_fixed": dice, "auprc": 1.0},
        }
        costs = {"best_step": 10, "steps": 20, "images_seen": 160, "train_seconds": 1.23}
        write_json(folder / name / "run.json", run | costs)
    return [folder / name for name in scores]


def search(tmp_path, folders, *options, **names):
    """Run the script; returns the page."""
    NamesSettings(**names).write(tmp_path / "names.yaml")
    outputs = [
        "--csv",
        str(tmp_path / "s.csv"),
        "--markdown",
        str(tmp_path / "s.md"),
        "--found",
        str(tmp_path / "f.yaml"),
    ]
    arguments = ["--folders", *map(str, folders), "--title", "Search x", "--names", str(tmp_path / "names.yaml")]
    search_script.main([*arguments, *outputs, *options])
    return (tmp_path / "s.md").read_text()


@pytest.mark.parametrize(
    ("monitor", "order", "first"),
    [("val_iou_fixed", ["b", "a", "c"], 0.60), ("val_dice_fixed", ["a", "b", "c"], 0.70)],
)
def test_trainings_are_ranked_by_their_monitor_at_the_weights_they_kept(tmp_path, monitor, order, first):
    table = rank_trainings(write(tmp_path, monitor))
    assert table["exp_id"].tolist() == order
    assert table[monitor][0] == first
    # What all have in common is no column.
    assert list(table)[:3] == ["entry", "lr", "loss"]
    assert "wd" not in table


def test_trainings_that_predict_nothing_at_half_are_ranked_at_their_best_threshold(tmp_path):
    folders = write(tmp_path, "val_iou_fixed", {name: ({"lr": lr}, 0.0, 0.0) for name, lr in (("a", 0.1), ("b", 0.2))})
    path = folders[1] / "run.json"
    run = read_json(path)
    write_json(path, run | {"val_scores": run["val_scores"] | {"val_dice_opt": 0.3}})
    assert rank_trainings(folders)["exp_id"].tolist() == ["b", "a"]


def test_another_study_takes_the_winners_settings_as_its_second_configuration_file(tmp_path):
    page = search(tmp_path, write(tmp_path, "val_iou_fixed"))
    found = yaml.safe_load((tmp_path / "f.yaml").read_text())
    assert found == {"searched": {"unet": {"settings": {"lr": 0.001, "loss": "bce"}, "trials": 3}}}
    assert yaml.safe_load(page.split("```yaml")[1].split("```")[0]) == found
    assert pd.read_csv(tmp_path / "s.csv")["exp_id"].tolist() == ["b", "a", "c"]


def test_entries_are_ranked_apart_and_unequal_numbers_of_trials_are_named(tmp_path):
    scores = SCORES | {"d": ({"lr": 0.1, "loss": "dice", "size": "tiny"}, 0.9, 0.9)}
    entries = {"a": "plain", "b": "plain", "c": "other", "d": "other"}
    folders = write(tmp_path, "val_iou_fixed", scores)
    page = search(tmp_path, folders, entries=entries)
    found = yaml.safe_load((tmp_path / "f.yaml").read_text())["searched"]
    assert found["plain"] == {"settings": {"lr": 0.001}, "trials": 2}
    assert found["other"]["settings"] == {"lr": 0.1, "size": "tiny"}
    assert pd.read_csv(tmp_path / "s.csv")["exp_id"].tolist() == ["b", "a", "d", "c"]
    assert "Numbers of trials differ" not in page
    uneven = search(tmp_path, folders, entries=entries | {"c": "plain"})
    assert "Numbers of trials differ (plain: 3, other: 1)" in uneven


def test_given_names_are_shown(tmp_path):
    page = search(tmp_path, write(tmp_path, "val_iou_fixed"), names={"b": "small-lr"})
    table = pd.read_csv(tmp_path / "s.csv")
    assert dict(zip(table["exp_id"], table["name"], strict=True)) == {"a": "a", "b": "small-lr", "c": "c"}
    assert "| rank | name | lr | loss |" in page
    assert "| 1 | small-lr | 0.001 | bce |" in page


def test_the_page_and_the_output_say_what_is_not_ranked(tmp_path, capsys):
    page = search(tmp_path, write(tmp_path, "val_iou_fixed"), "--left-out", "why: d, e", "but: f")
    assert "\nNot ranked:\n\n- why: d, e\n- but: f\n" in page
    assert page in capsys.readouterr().out


def test_what_has_no_iou_on_the_val_images_is_left_out_with_the_reason():
    config = yaml.safe_load((ROOT / "config/unet_search.yaml").read_text())
    unet = {"model": "unet", "encoder": "resnet18"}
    sam2 = {"model": "sam2", "prompt": "box", "init": "random"}
    tuned = {**sam2, "tune": "full"}
    config["experiments"] = [unet, {**unet, "cv": 5}, BOXES, {"model": "yolov8-seg"}, NOT_TRAINED, sam2, tuned]
    config["split"]["n_folds"] = 5
    compared, others = load_study(config).split_comparable()
    assert [(found.family, found.cv) for found in compared] == [("unet", 0), ("yolo", 0), ("sam2", 0)]
    assert compared[2].settings.tune == "full"
    why = {reason.split(":")[0]: [found.model for found in experiments] for reason, experiments in others.items()}
    assert why == {
        "cross-validated": ["unet"],
        "a detector predicts boxes, which have no IoU or Dice with true masks": BOXES["model"],
        "no network is trained": ["all_empty", "sam2"],
    }


def test_experiments_that_share_a_training_are_ranked_once():
    entry = {"model": "unet", "tta": ["hflip", "none"], "lr": [0.01, 0.001]}
    compared, _ = load_study(changed(experiments=[entry])).split_comparable()
    assert [(one.settings.tta, one.settings.lr) for one in compared] == [("none", 0.01), ("none", 0.001)]


def test_the_rule_ranks_what_it_can_and_names_the_rest(tmp_path):
    project = Project(tmp_path)
    unet = {"model": "unet", "encoder": "resnet18"}
    configfile = project.config(like="config/unet_search.yaml", experiments=[unet, BOXES, NOT_TRAINED])
    output = project.dry_run("search", "-p", configfile=configfile)
    command = next(line for line in output.splitlines() if "search.py" in line and "--left-out" in line)
    arguments = shlex.split(command.split("2>&1")[0])
    ranked_folders = arguments[arguments.index("--folders") + 1 : arguments.index("--title")]
    assert [Path(folder).parts[2] for folder in ranked_folders] == ["unet"]
    left_out = arguments[arguments.index("--left-out") + 1 :]
    assert [re.findall(r"yolov8|yolo11|all_empty", line) for line in left_out] == [
        ["yolov8", "yolo11"],
        ["all_empty"],
    ]


def test_a_study_without_anything_to_rank_is_told_why(tmp_path):
    project = Project(tmp_path)
    configfile = project.config(like="config/unet_search.yaml", experiments=[BOXES, NOT_TRAINED])
    done = project.snakemake("--cores", "1", "search", "--dry-run", configfile=configfile)
    assert done.returncode != 0
    assert "study unet_search has no training that a search can rank" in done.stdout + done.stderr
    assert re.search(r"detector predicts boxes.*yolov8-n_full", done.stdout + done.stderr)


def test_what_was_found_takes_the_place_of_an_entrys_own_values_and_stands_on_its_rows():
    searched = {"plain": {"settings": {"lr": 0.03}, "trials": 4}}
    entries = [{"model": "unet", "name": "plain", "lr": 0.5, "subset": [10, 20]}, {"model": "unet", "name": "other"}]
    study = load_study(changed(experiments=entries, searched=searched))
    assert [one.settings.lr for one in study.experiments] == [0.03, 0.03, 1e-4]
    notes = study.names().searched
    assert list(notes) == [one.exp_id for one in study.experiments[:2]]
    assert set(notes.values()) == {"lr 0.03: found by a search, best of 4 on val"}


@pytest.mark.parametrize(
    ("searched", "message"),
    [
        (
            {"plain": {"settings": {"lr": 0.03}, "trials": 4}},
            r"experiments.0.lr: a search found 0.03, and the entry has",
        ),
        ({"typo": {"settings": {"lr": 0.03}, "trials": 4}}, "searched: no entry of experiments has the name typo"),
        ({"plain": {"settings": {"lr": 0.03}}}, "searched.plain.trials: required"),
    ],
)
def test_what_was_found_for_no_entry_or_for_a_grid_is_refused(searched, message):
    entries = [{"model": "unet", "name": "plain", "lr": [0.5, 0.1]}]
    with pytest.raises(ConfigError, match=message):
        load_study(changed(experiments=entries, searched=searched))


def test_the_example_is_a_valid_grid():
    study = load_study(yaml.safe_load((ROOT / "config/unet_search.yaml").read_text()))
    assert len(study.experiments) == 18


def test_a_search_trains_and_predicts_nothing(project):
    stale = project.stale("search", configfile=project.config(dataset=tiny_dataset(project, "searched")))
    assert stale["train_unet"] == 3
    assert not any(rule.startswith(("predict", "calibrate", "score")) for rule in stale)


def tiny_dataset(project, name):
    return {**yaml.safe_load((project.folder / "config/test/tiny.yaml").read_text())["dataset"], "name": name}

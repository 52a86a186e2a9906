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

from defectbench.config.report import NamesSettings
from defectbench.config.study import load_study
from defectbench.files import write_json
from defectbench.reporting.search import MEASURED, rank_trainings

HISTORIES = {
    "a": ({"lr": 0.01, "loss": "bce"}, [(10, 0.20, 0.70), (20, 0.40, 0.50)]),
    "b": ({"lr": 0.001, "loss": "bce"}, [(10, 0.60, 0.65), (20, 0.50, 0.60)]),
    "c": ({"lr": 0.001, "loss": "dice", "cycles": 3}, [(10, 0.10, 0.20)]),
}


YOLO = {"model": ["yolov8", "yolov8-seg"]}
NOT_TRAINED = {"model": "all_empty"}


def write(folder, monitor):
    """Trainings as their folders hold them; only what the ranking may read."""
    column = MEASURED.index(monitor) + 1
    for name, (settings, rows) in HISTORIES.items():
        history = pd.DataFrame(
            [{"step": s, **dict.fromkeys(MEASURED, iou), MEASURED[1]: dice} for s, iou, dice in rows]
        )
        (folder / name).mkdir()
        history.to_csv(folder / name / "history.csv", index=False)
        best = max(rows, key=lambda row: row[column])[0]
        run = {
            "experiment": {"exp_id": name, "subset": "full"},
            "settings": {**settings, "monitor": monitor, "wd": 0.1},
        }
        write_json(folder / name / "run.json", {**run, "best_step": best, "steps": 20, "train_seconds": 1.23})
    return [folder / name for name in HISTORIES]


@pytest.mark.parametrize(
    ("monitor", "order", "first"),
    [("val_iou_fixed", ["b", "a", "c"], 0.60), ("val_dice_fixed", ["a", "b", "c"], 0.70)],
)
def test_trainings_are_ranked_by_their_monitor_at_the_weights_they_kept(tmp_path, monitor, order, first):
    table = rank_trainings(write(tmp_path, monitor))
    assert table["exp_id"].tolist() == order
    assert table[monitor][0] == first
    # What all have in common is no column.
    assert list(table)[:2] == ["lr", "loss"]
    assert "wd" not in table


def test_the_page_ends_with_the_winners_settings(tmp_path):
    folders = write(tmp_path, "val_iou_fixed")
    outputs = ["--csv", str(tmp_path / "s.csv"), "--markdown", str(tmp_path / "s.md")]
    search_script.main(["--folders", *map(str, folders), "--title", "Search x", *outputs])
    page = (tmp_path / "s.md").read_text()
    assert yaml.safe_load(page.split("```yaml")[1].split("```")[0]) == {"lr": 0.001, "loss": "bce"}
    assert pd.read_csv(tmp_path / "s.csv")["exp_id"].tolist() == ["b", "a", "c"]


def test_given_names_are_shown(tmp_path):
    folders = write(tmp_path, "val_iou_fixed")
    NamesSettings(names={"b": "small-lr"}).write(tmp_path / "names.yaml")
    outputs = ["--csv", str(tmp_path / "s.csv"), "--markdown", str(tmp_path / "s.md")]
    names = ["--names", str(tmp_path / "names.yaml")]
    search_script.main(["--folders", *map(str, folders), "--title", "x", *names, *outputs])
    table = pd.read_csv(tmp_path / "s.csv")
    assert dict(zip(table["exp_id"], table["name"], strict=True)) == {"a": "a", "b": "small-lr", "c": "c"}
    page = (tmp_path / "s.md").read_text()
    assert "| rank | name | lr | loss |" in page
    assert "| 1 | small-lr | 0.001 | bce |" in page
    assert yaml.safe_load(page.split("```yaml")[1].split("```")[0]) == {"lr": 0.001, "loss": "bce"}


def test_the_page_and_the_output_say_what_is_not_ranked(tmp_path, capsys):
    folders = write(tmp_path, "val_iou_fixed")
    outputs = ["--csv", str(tmp_path / "s.csv"), "--markdown", str(tmp_path / "s.md")]
    search_script.main(["--folders", *map(str, folders), "--title", "x", *outputs, "--left-out", "why: d, e", "but: f"])
    page = (tmp_path / "s.md").read_text()
    assert "\nNot ranked:\n\n- why: d, e\n- but: f\n" in page
    assert page in capsys.readouterr().out


def test_what_has_no_iou_on_the_val_images_is_left_out_with_the_reason():
    config = yaml.safe_load((ROOT / "config/unet_search.yaml").read_text())
    unet = {"model": "unet", "encoder": "resnet18"}
    sam2 = {"model": "sam2", "prompt": "box", "init": "random"}
    tuned = {**sam2, "tune": "full"}
    config["experiments"] = [unet, {**unet, "cv": 5}, YOLO, NOT_TRAINED, sam2, tuned]
    config["split"]["n_folds"] = 5
    compared, others = load_study(config).split_comparable()
    assert [(found.family, found.cv) for found in compared] == [("unet", 0), ("sam2", 0)]
    assert compared[1].settings.tune == "full"
    why = {reason.split(":")[0]: [found.model for found in experiments] for reason, experiments in others.items()}
    assert why == {
        "cross-validated": ["unet"],
        "ultralytics trains and chooses weights by its own fitness (mAP), which is no mean IoU or Dice": YOLO["model"],
        "no network is trained": ["all_empty", "sam2"],
    }


def test_experiments_that_share_a_training_are_ranked_once():
    entry = {"model": "unet", "tta": ["hflip", "none"], "lr": [0.01, 0.001]}
    compared, _ = load_study(changed(experiments=[entry])).split_comparable()
    assert [(one.settings.tta, one.settings.lr) for one in compared] == [("none", 0.01), ("none", 0.001)]


def test_the_rule_ranks_what_it_can_and_names_the_rest(tmp_path):
    project = Project(tmp_path)
    unet = {"model": "unet", "encoder": "resnet18"}
    configfile = project.config(like="config/unet_search.yaml", experiments=[unet, YOLO, NOT_TRAINED])
    output = project.dry_run("search", "-p", configfile=configfile)
    command = next(line for line in output.splitlines() if "search.py" in line and "--left-out" in line)
    arguments = shlex.split(command.split("2>&1")[0])
    ranked_folders = arguments[arguments.index("--folders") + 1 : arguments.index("--title")]
    assert [Path(folder).parts[2] for folder in ranked_folders] == ["unet"]
    left_out = arguments[arguments.index("--left-out") + 1 :]
    assert [re.findall(r"yolov8-seg|yolov8|all_empty", line) for line in left_out] == [
        ["yolov8", "yolov8-seg"],
        ["all_empty"],
    ]


def test_a_study_without_anything_to_rank_is_told_why(tmp_path):
    project = Project(tmp_path)
    configfile = project.config(like="config/unet_search.yaml", experiments=[YOLO, NOT_TRAINED])
    done = project.snakemake("--cores", "1", "search", "--dry-run", configfile=configfile)
    assert done.returncode != 0
    assert "study unet_search has no training that a search can rank" in done.stdout + done.stderr
    assert re.search(r"fitness.*yolov8-seg-n_full", done.stdout + done.stderr)


def test_the_example_is_a_valid_grid():
    study = load_study(yaml.safe_load((ROOT / "config/unet_search.yaml").read_text()))
    assert len(study.experiments) == 18


def test_a_search_trains_and_predicts_nothing(project):
    stale = project.stale("search", configfile=project.config(dataset=tiny_dataset(project, "searched")))
    assert stale["train_unet"] == 3
    assert not any(rule.startswith(("predict", "calibrate", "score")) for rule in stale)


def tiny_dataset(project, name):
    return {**yaml.safe_load((project.folder / "config/test/tiny.yaml").read_text())["dataset"], "name": name}

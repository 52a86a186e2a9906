"""The ranking of a search: by val, from what trainings recorded, and from nothing else."""

import pandas as pd
import pytest
import search as search_script
import yaml
from tiny_study import ROOT

from defectbench.config.study import load_study
from defectbench.files import write_json
from defectbench.reporting.search import MEASURED, ranked

HISTORIES = {
    "a": ({"lr": 0.01, "loss": "bce"}, [(10, 0.20, 0.70), (20, 0.40, 0.50)]),
    "b": ({"lr": 0.001, "loss": "bce"}, [(10, 0.60, 0.65), (20, 0.50, 0.60)]),
    "c": ({"lr": 0.001, "loss": "dice", "cycles": 3}, [(10, 0.10, 0.20)]),
}


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
    table = ranked(write(tmp_path, monitor))
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


def test_the_example_is_a_valid_grid():
    study = load_study(yaml.safe_load((ROOT / "config/unet_search.yaml").read_text()))
    assert len(study.experiments) == 18


def test_a_search_trains_and_predicts_nothing(project):
    stale = project.stale("search", configfile=project.config(dataset=tiny_dataset(project, "searched")))
    assert stale["train_unet"] == 3
    assert not any(rule.startswith(("predict", "calibrate", "score")) for rule in stale)


def tiny_dataset(project, name):
    return {**yaml.safe_load((project.folder / "config/test/tiny.yaml").read_text())["dataset"], "name": name}

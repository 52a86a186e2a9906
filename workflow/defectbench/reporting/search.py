"""A settings search: trainings ranked on the val images alone."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from defectbench.config.report import NO_NAMES, NamesSettings
from defectbench.files import read_json

MEASURED = ("val_iou_fixed", "val_dice_fixed", "val_dice_opt", "dice_all")
"""Columns of history.csv that the table shows, at the step of the kept weights."""


def rank_trainings(folders: Sequence[Path], names: NamesSettings = NO_NAMES) -> pd.DataFrame:
    """A row per trained experiment, best first by its monitor on val; the settings in which they differ come first.

    Reads run.json and history.csv only, which hold nothing of the test images.
    """
    runs = [read_json(folder / "run.json") for folder in folders]
    settings = pd.DataFrame([{**run["settings"], "subset": run["experiment"]["subset"]} for run in runs], dtype=object)
    differing = [key for key in settings if settings[key].map(str).nunique() > 1]
    rows = []
    for folder, run in zip(folders, runs, strict=True):
        history = pd.read_csv(folder / "history.csv").set_index("step")
        best = history.loc[run["best_step"]]
        costs = {"best_step": run["best_step"], "steps": run["steps"], "train_seconds": round(run["train_seconds"], 1)}
        exp_id = run["experiment"]["exp_id"]
        rows.append(
            {**{name: best[name] for name in MEASURED}, **costs, "exp_id": exp_id, "name": names.name_of(exp_id)}
        )
    table = pd.concat([settings[differing], pd.DataFrame(rows)], axis=1)
    monitors = {run["settings"]["monitor"] for run in runs}
    by = monitors.pop() if len(monitors) == 1 else MEASURED[0]
    return table.sort_values([by, "exp_id"], ascending=[False, True], ignore_index=True)


def as_markdown(table: pd.DataFrame, title: str, left_out: Sequence[str] = ()) -> str:
    """The table for reading, below it what is not ranked and why, and the best row's settings as a study has them."""
    has_names = (table["name"] != table["exp_id"]).any()
    display = (
        table[[*(["name"] if has_names else []), *table.columns.drop(["exp_id", "name"])]]
        .rename_axis("rank")
        .reset_index()
    )
    display["rank"] += 1
    cells = [
        [f"{value:.4f}" if name in MEASURED else str(value) for name, value in row.items()]
        for _, row in display.iterrows()
    ]
    lines = [" | ".join(row) for row in (list(display), ["---"] * display.shape[1], *cells)]
    first = table.iloc[0][: list(table).index(MEASURED[0])].to_dict()
    # A key without a value has no effect beside the others.
    settings = {key: value for key, value in first.items() if value == value}
    return "\n".join(
        [
            f"# {title}",
            "",
            "Ranked on the val images alone, at the weights that each training kept. Scores of the best of many are "
            "too high: train the winner again with other seeds, and read its score on test once.",
            "",
            *(f"| {line} |" for line in lines),
            "",
            *(["Not ranked:", "", *(f"- {line}" for line in left_out), ""] if left_out else []),
            "Settings of the first, for `defaults`:",
            "",
            "```yaml",
            yaml.safe_dump(settings, sort_keys=False).strip(),
            "```",
            "",
        ]
    )

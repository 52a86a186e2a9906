"""A settings search: the trainings of each entry of a study ranked on the val images alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from defectbench.config.report import NO_NAMES, NamesSettings
from defectbench.files import read_json
from defectbench.reporting.markdown import as_text

MEASURED = ("val_iou_fixed", "val_dice_fixed", "val_dice_opt", "dice_all")
"""Scores of the kept weights on val that the tables show."""


def rank_trainings(folders: Sequence[Path], names: NamesSettings = NO_NAMES) -> pd.DataFrame:
    """A row per trained experiment: entries in turn, best first within each by its monitor on val.

    An experiment without a name belongs to the entry of its model. The settings in which experiments differ come
    first, missing where they are the same in the whole entry or have no effect. Reads run.json only, which holds
    nothing of the test images.
    """
    runs = [read_json(folder / "run.json") for folder in folders]
    settings = pd.DataFrame([{**run["settings"], "subset": run["experiment"]["subset"]} for run in runs], dtype=object)
    entries = pd.Series([_entry(run, names) for run in runs], dtype=object)
    for _, rows in settings.groupby(entries, sort=False):
        common = [key for key in settings if rows[key].map(str).nunique() == 1]
        settings.loc[rows.index, common] = None
    rows = []
    for run in runs:
        exp_id = run["experiment"]["exp_id"]
        monitor = run["settings"].get("monitor", MEASURED[0])
        costs = {key: run[key] for key in ("best_step", "steps", "images_seen")}
        scores = {name: run["val_scores"][name] for name in MEASURED}
        rows.append(
            {**scores, **costs, "train_seconds": round(run["train_seconds"], 1)}
            | {"exp_id": exp_id, "name": names.name_of(exp_id), "score": scores[monitor]}
        )
    table = pd.concat([settings.dropna(axis="columns", how="all"), pd.DataFrame(rows)], axis=1)
    table.insert(0, "entry", entries)
    order = {entry: place for place, entry in enumerate(entries.unique())}
    table = table.sort_values(
        # Where nothing is predicted at p = 0.5, the score at the best threshold decides.
        ["entry", "score", "val_dice_opt", "exp_id"],
        ascending=[True, False, False, True],
        key=lambda column: column.map(order) if column.name == "entry" else column,
        ignore_index=True,
    )
    return table.drop(columns="score")


def _entry(run: dict[str, Any], names: NamesSettings) -> str:
    return names.entries.get(run["experiment"]["exp_id"], run["experiment"]["model"])


def found_settings(table: pd.DataFrame) -> dict[str, Any]:
    """The section ``searched`` of another study: of each entry the best trial's settings, and the number of trials."""
    n_settings = list(table).index(MEASURED[0])
    found = {}
    for entry, rows in table.groupby("entry", sort=False):
        best = rows.iloc[0, 1:n_settings].dropna()
        if len(rows) > 1:
            found[str(entry)] = {"settings": best.to_dict(), "trials": len(rows)}
    return {"searched": found}


def as_yaml(section: dict[str, Any]) -> str:
    """A section of a configuration as YAML."""
    return yaml.safe_dump(section, sort_keys=False, default_flow_style=None)


def as_markdown(table: pd.DataFrame, title: str, left_out: Sequence[str] = ()) -> str:
    """The table for reading, an entry each, what is not ranked and why, and what other studies can take."""
    trials = table["entry"].value_counts(sort=False)
    numbers = as_text(", ".join(f"{entry}: {n}" for entry, n in trials.items()))
    unequal = (
        [
            f"**Numbers of trials differ ({numbers}): an entry with more had better chances. Compare what was found "
            "with that in mind, or give all the same number.**",
            "",
        ]
        if trials.nunique() > 1
        else []
    )
    return "\n".join(
        [
            f"# {title}",
            "",
            "Ranked on the val images alone, at the weights that each training kept. Scores of the best of many are "
            "too high: train the winner again with other seeds, and read its score on test once.",
            "",
            *unequal,
            *(line for entry, rows in table.groupby("entry", sort=False) for line in _section(str(entry), rows)),
            *(["Not ranked:", "", *(f"- {as_text(line)}" for line in left_out), ""] if left_out else []),
            "What was found, as another study takes it (`--configfile STUDY.yaml searched.yaml`):",
            "",
            "```yaml",
            as_yaml(found_settings(table)).strip(),
            "```",
            "",
        ]
    )


def _section(entry: str, rows: pd.DataFrame) -> list[str]:
    """Heading and table of one entry."""
    has_names = (rows["name"] != rows["exp_id"]).any()
    columns = rows.drop(columns=["entry", "exp_id", "name"]).dropna(axis="columns", how="all")
    header = ["rank", *(["name"] if has_names else []), *columns]
    cells = [
        [str(rank), *([as_text(row["name"])] if has_names else []), *(_format(name, row[name]) for name in columns)]
        for rank, row in enumerate(rows.to_dict("records"), start=1)
    ]
    lines = [" | ".join(row) for row in (header, ["---"] * len(header), *cells)]
    return [f"## {as_text(entry)}", "", *(f"| {line} |" for line in lines), ""]


def _format(name: str, value: Any) -> str:
    return f"{value:.4f}" if name in MEASURED else as_text(str(value))

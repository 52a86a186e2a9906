"""The sortable leaderboards of the page: cells with the values they are sorted by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.reporting.boards import BoardRow, board_notes, board_rows
from defectbench.reporting.numbers import format_bytes, format_count, format_decimal
from defectbench.reporting.records import Record
from defectbench.reporting.verdicts import Standing
from defectbench.reporting.words import METRIC_MEANINGS, TRACKS

# Column -> header, meaning and formatter of its values.
COLUMNS: dict[str, tuple[str, str, Callable[[Any], str]]] = {
    "dice_at_clean_share": (
        "at the line's share",
        "dice_all with the share of clean images that the line has, report.clean_share",
        format_decimal,
    ),
    "test_mIoU": ("mIoU", "mean IoU over defective test images", format_decimal),
    "IoU@50": ("IoU@50", "share of defective images with IoU of at least 0.5", format_decimal),
    "cv_dice_all_mean": ("CV", "dice_all out of fold, mean over the folds of a cross-validation", format_decimal),
    "cv_dice_all_sd": ("CV sd", "standard deviation of dice_all between the folds", format_decimal),
    "AUPRC": ("AUPRC", "average precision of pixels", format_decimal),
    "fp_image_rate": ("false alarms", "share of clean images with any predicted pixel", format_decimal),
    "n_labels_train": ("labels", "labelled training images; val labels come on top", format_count),
    "images_seen": ("images seen", "training images seen, each as often as it was: the budget", format_count),
    "params_total": ("params", "parameters of the model", format_count),
    "milliseconds": ("time/image", "median prediction time; ~ of ensembles and cascades the mean", str),
    "peak_memory_infer_bytes": ("memory", "peak memory of prediction", format_bytes),
}
SHARES = [name for name, (_, _, write) in COLUMNS.items() if write is format_decimal and not name.startswith("cv_")]
"""Columns of which the interval is shown, or of several seeds their spread"""


@dataclass(frozen=True)
class Cell:
    """Text of a cell, the number by which the column is sorted (None is last), and how uncertain it is, if known."""

    text: str
    value: float | None
    spread: str = ""


@dataclass(frozen=True)
class Training:
    """One seed of an experiment: its index among the records, and its value with the interval."""

    index: int
    record: Record
    text: str


@dataclass(frozen=True)
class Line:
    """A row: an experiment with its trainings, and its headline value with the interval."""

    name: str
    family: str
    trainings: list[Training]
    """By seed"""
    top: bool
    """No test shows another experiment of the track to be better"""
    headline: Cell
    interval: str
    bar: tuple[float, float, float] | None
    """Lower bound, value, upper bound on the axis of the track, each in [0, 100]"""
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """One track."""

    track: str
    about: str
    metric: str
    meaning: str
    headers: list[tuple[str, str]]
    lines: list[Line]
    notes: list[str]


def tables(
    results: pd.DataFrame, ranks: pd.DataFrame, records: Sequence[Record], standings: Mapping[str, Standing]
) -> list[Table]:
    """One table per track that has experiments, best first, without columns that have no value."""
    index_of = {record.exp_id: index for index, record in enumerate(records)}
    boards = []
    for track in TRACKS:
        if rows := board_rows(results, ranks, track):
            indices = [[index_of[exp_id] for exp_id in row.trainings["exp_id"]] for row in rows]
            trainings = [[(index, records[index]) for index in of_row] for of_row in indices]
            top = standings[track].top if track in standings else ()
            boards.append(_table(track, rows, trainings, top, board_notes(rows, ranks, track)))
    return boards


def _table(
    track: str,
    rows: list[BoardRow],
    trainings: list[list[tuple[int, Record]]],
    top: Sequence[str],
    notes: list[str],
) -> Table:
    metric = PRIMARY[track]
    processed = ("post-processed", f"{metric} with the post-processing chosen on validation images", format_decimal)
    imposed = ("imposed", f"{metric} at the threshold and smallest area of calibrate.imposed", format_decimal)
    columns = {f"{metric}_pp": processed, f"{metric}_imposed": imposed} | COLUMNS
    column_names = [name for name in columns if any(pd.notna(_value(row, name)) for row in rows)]
    known = [value for row in rows for value in (row.mean, row.low, row.high) if pd.notna(value)]
    low, span = (min(known), max(max(known) - min(known), 1e-9)) if known else (0.0, 1.0)
    lines = [
        Line(
            row.name,
            row.values["family"],
            [Training(index, record, _training_text(record, metric)) for index, record in of_row],
            row.experiment in top,
            Cell(row.format_mean(), _known(row.mean)),
            _interval(row.low, row.high),
            _bar(row, low, span),
            [_cell(row, name, columns[name][2]) for name in column_names],
        )
        for row, of_row in zip(rows, trainings, strict=True)
    ]
    headers = [columns[name][:2] for name in column_names]
    return Table(track, TRACKS[track], metric, METRIC_MEANINGS[metric], headers, lines, notes)


def _training_text(record: Record, metric: str) -> str:
    row = record.row
    value = f"{format_decimal(row[metric])}, {_interval(row[f'{metric}_lo'], row[f'{metric}_hi'])}"
    return f"seed {row['seed']}: {value}"


def _value(row: BoardRow, name: str) -> float:
    """A cell's number; NaN where there is none, as after post-processing if calibration chose none."""
    if name == "milliseconds":
        return row.milliseconds()[0]
    return row.processed(name) if name.endswith("_pp") else row.values[name]


def _cell(row: BoardRow, name: str, write: Callable[[Any], str]) -> Cell:
    value = _value(row, name)
    if pd.isna(value):
        return Cell("–", None)
    if name == "milliseconds":
        return Cell(f"{'' if row.milliseconds()[1] else '~'}{value:.1f} ms", value)
    return Cell(write(value) + row.mark(name), float(value), row.format_spread(name) if name in SHARES else "")


def _interval(low: float | None, high: float | None) -> str:
    return "no interval" if pd.isna(low) or pd.isna(high) else f"{format_decimal(low)} – {format_decimal(high)}"


def _bar(row: BoardRow, low: float, span: float) -> tuple[float, float, float] | None:
    values = (row.low, row.mean, row.high)
    if any(pd.isna(value) for value in values):
        return None
    first, value, last = (round(100 * (value - low) / span, 1) for value in values)
    return first, value, last


def _known(value: float) -> float | None:
    return None if pd.isna(value) else float(value)

"""The sortable leaderboards of the page: cells with the values they are sorted by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.reporting.numbers import format_bytes, format_count, format_decimal, format_milliseconds
from defectbench.reporting.records import Record
from defectbench.reporting.verdicts import Standing
from defectbench.reporting.words import METRIC_MEANINGS, TRACKS

# Column -> header, meaning and formatter of its values.
COLUMNS: dict[str, tuple[str, str, Callable[[Any], str]]] = {
    "test_mIoU": ("mIoU", "mean IoU over defective test images", format_decimal),
    "IoU@50": ("IoU@50", "share of defective images with IoU of at least 0.5", format_decimal),
    "cv_dice_all_mean": ("CV", "dice_all out of fold, mean over the folds of a cross-validation", format_decimal),
    "cv_dice_all_sd": ("CV sd", "standard deviation of dice_all between the folds", format_decimal),
    "AUPRC": ("AUPRC", "average precision of pixels", format_decimal),
    "fp_image_rate": ("false alarms", "share of clean images with any predicted pixel", format_decimal),
    "n_labels_train": ("labels", "labelled training images; val labels come on top", format_count),
    "images_seen": ("images seen", "training images seen, each as often as it was: the budget", format_count),
    "params_total": ("params", "parameters of the model", format_count),
    "avg_inference_time": ("time/image", "mean prediction time", format_milliseconds),
    "peak_memory_infer_bytes": ("memory", "peak memory of prediction", format_bytes),
}


@dataclass(frozen=True)
class Cell:
    """Text of a cell, and the number by which the column is sorted; None is last."""

    text: str
    value: float | None


@dataclass(frozen=True)
class Line:
    """A row: an experiment, its index among the records, and its headline value with the interval."""

    index: int
    record: Record
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


def tables(records: Sequence[Record], standings: Mapping[str, Standing]) -> list[Table]:
    """One table per track that has experiments, best first, without columns that have no value."""
    boards = []
    for track, about in TRACKS.items():
        track_records = [(i, record) for i, record in enumerate(records) if record.row["track"] == track]
        if track_records:
            boards.append(_table(track, about, track_records, standings.get(track)))
    return boards


def _table(track: str, about: str, track_records: list[tuple[int, Record]], standing: Standing | None) -> Table:
    metric = PRIMARY[track]
    track_records = sorted(track_records, key=lambda pair: _or(pair[1].row[metric], -1.0), reverse=True)
    processed = ("post-processed", f"{metric} with the post-processing chosen on validation images", format_decimal)
    columns = {f"{metric}_pp": processed} | COLUMNS
    column_names = [name for name in columns if any(_value(record, name) is not None for _, record in track_records)]
    ends = [record.row[f"{metric}{end}"] for _, record in track_records for end in ("", "_lo", "_hi")]
    known = [value for value in ends if value is not None]
    low, span = (min(known), max(max(known) - min(known), 1e-9)) if known else (0.0, 1.0)
    unbeaten = standing.unbeaten if standing else ()
    lines = [
        Line(
            index,
            record,
            record.row["experiment"] in unbeaten,
            Cell(format_decimal(record.row[metric]), record.row[metric]),
            _interval(record.row[f"{metric}_lo"], record.row[f"{metric}_hi"]),
            _bar(record.row, metric, low, span),
            [Cell(columns[name][2](value) or "–", value) for name in column_names for value in [_value(record, name)]],
        )
        for index, record in track_records
    ]
    return Table(track, about, metric, METRIC_MEANINGS[metric], [columns[name][:2] for name in column_names], lines)


def _value(record: Record, name: str) -> float | None:
    """A cell's number; None after post-processing if calibration chose none."""
    applies = not name.endswith("_pp") or record.row["post_processing"] is not None
    return record.row[name] if applies else None


def _interval(low: float | None, high: float | None) -> str:
    return "no interval" if low is None or high is None else f"{format_decimal(low)} – {format_decimal(high)}"


def _bar(row: dict[str, Any], metric: str, low: float, span: float) -> tuple[float, float, float] | None:
    values = [row[f"{metric}{end}"] for end in ("_lo", "", "_hi")]
    if any(value is None for value in values):
        return None
    first, value, last = (round(100 * (value - low) / span, 1) for value in values)
    return first, value, last


def _or(value: float | None, other: float) -> float:
    return other if value is None else value

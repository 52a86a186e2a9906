"""The sortable leaderboards of the page: cells with the values they are sorted by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.reporting.numbers import amount, decimal, memory, milliseconds
from defectbench.reporting.records import Record
from defectbench.reporting.verdicts import Standing
from defectbench.reporting.words import MEANING, TRACKS

# Column -> its header, what it means, and how its values are written.
COLUMNS: dict[str, tuple[str, str, Callable[[Any], str]]] = {
    "test_mIoU": ("mIoU", "mean IoU over defective test images", decimal),
    "IoU@50": ("IoU@50", "share of defective images with IoU of at least 0.5", decimal),
    "cv_dice_all_mean": ("CV", "dice_all out of fold, mean over the folds of a cross-validation", decimal),
    "cv_dice_all_sd": ("CV sd", "standard deviation of dice_all between the folds", decimal),
    "AUPRC": ("AUPRC", "average precision of pixels", decimal),
    "fp_image_rate": ("false alarms", "share of clean images with any predicted pixel", decimal),
    "n_labels_train": ("labels", "training images with labels; val labels come on top", amount),
    "params_total": ("params", "parameters of the model", amount),
    "avg_inference_time": ("time/image", "mean time of prediction", milliseconds),
    "peak_memory_infer_bytes": ("memory", "peak memory of prediction", memory),
}


@dataclass(frozen=True)
class Cell:
    """What is shown, and the number by which the column is sorted; None is last."""

    text: str
    value: float | None


@dataclass(frozen=True)
class Line:
    """A row: the experiment's index among the records, its headline value with the interval as shares of the axis."""

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
    """One table per track that has experiments, best first; columns without any value are left out."""
    found = []
    for track, about in TRACKS.items():
        own = [(i, record) for i, record in enumerate(records) if record.row["track"] == track]
        if own:
            found.append(_table(track, about, own, standings.get(track)))
    return found


def _table(track: str, about: str, own: list[tuple[int, Record]], standing: Standing | None) -> Table:
    metric = PRIMARY[track]
    own = sorted(own, key=lambda pair: _or(pair[1].row[metric], -1.0), reverse=True)
    processed = ("post-processed", f"{metric} with the post-processing chosen on validation images", decimal)
    columns = {f"{metric}_pp": processed} | COLUMNS
    shown = [name for name in columns if any(_value(record, name) is not None for _, record in own)]
    ends = [record.row[f"{metric}{end}"] for _, record in own for end in ("", "_lo", "_hi")]
    known = [value for value in ends if value is not None]
    low, span = (min(known), max(max(known) - min(known), 1e-9)) if known else (0.0, 1.0)
    unbeaten = standing.unbeaten if standing else ()
    lines = [
        Line(
            index,
            record,
            record.row["experiment"] in unbeaten,
            Cell(decimal(record.row[metric]), record.row[metric]),
            _interval(record.row[f"{metric}_lo"], record.row[f"{metric}_hi"]),
            _bar(record.row, metric, low, span),
            [Cell(columns[name][2](value) or "–", value) for name in shown for value in [_value(record, name)]],
        )
        for index, record in own
    ]
    return Table(track, about, metric, MEANING[metric], [columns[name][:2] for name in shown], lines)


def _value(record: Record, name: str) -> float | None:
    """A cell's number; None after post-processing where none was chosen."""
    chosen = not name.endswith("_pp") or record.row["post_processing"] is not None
    return record.row[name] if chosen else None


def _interval(low: float | None, high: float | None) -> str:
    return "no interval" if low is None or high is None else f"{decimal(low)} – {decimal(high)}"


def _bar(row: dict[str, Any], metric: str, low: float, span: float) -> tuple[float, float, float] | None:
    values = [row[f"{metric}{end}"] for end in ("_lo", "", "_hi")]
    if any(value is None for value in values):
        return None
    first, value, last = (round(100 * (value - low) / span, 1) for value in values)
    return first, value, last


def _or(value: float | None, other: float) -> float:
    return other if value is None else value

"""Rows of leaderboards, one per experiment: its seeds averaged, best first."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.reporting.names import experiment_names
from defectbench.reporting.numbers import format_decimal

BY_VAL_LABELS = "†"
"""Marks a number that val labels had a part in, of a row that uses none otherwise."""
BY_VAL_LABELS_NOTE = f"{BY_VAL_LABELS}: chosen with val labels, to which the other numbers of the row owe nothing."


@dataclass(frozen=True)
class BoardRow:
    """An experiment on a leaderboard; unknown numbers are NaN."""

    experiment: str
    name: str
    mean: float
    """Mean over the seeds of the primary metric of the track, by which the rows are sorted"""
    sd: float
    """Standard deviation of the seeds' values; NaN for one"""
    low: float
    high: float
    """95 % interval of the mean"""
    values: dict[str, Any]
    """Columns of results.parquet: means over the seeds of numbers, else the first value"""
    trainings: pd.DataFrame
    """The rows of results.parquet, by seed"""

    @property
    def owes_nothing_to_val(self) -> bool:
        """Whether it is a zero-shot row: the labels of val images chose neither weights nor threshold."""
        return self.values["track"] != "reference" and not self.values["used_val_labels"]

    def mark(self, column: str) -> str:
        """BY_VAL_LABELS, if the number in ``column`` owes more to val labels than the rest of the row; else nothing."""
        return BY_VAL_LABELS if column.endswith(("_pp", "_calibrated")) and self.owes_nothing_to_val else ""

    def processed(self, column: str) -> float:
        """Mean over the seeds of ``column``, which ends in _pp; NaN if calibration chose no post-processing."""
        return float("nan") if pd.isna(self.values["post_processing"]) else self.values[column]

    def milliseconds(self) -> tuple[float, bool]:
        """Time of prediction per image, and whether it is the median.

        Ensembles and cascades have a mean only: the median of a sum is not known.
        """
        if pd.notna(self.values["infer_ms_p50"]):
            return self.values["infer_ms_p50"], True
        return 1000 * self.values["avg_inference_time"], False

    def format_spread(self, column: str) -> str:
        """The interval of ``column``, with several seeds ± their standard deviation; empty where it is not known."""
        if len(self.trainings) > 1:
            sd = self.trainings[column].std()
            return "" if pd.isna(sd) else f"± {format_decimal(sd)}"
        low, high = (self.values.get(f"{column}_{end}") for end in ("lo", "hi"))
        return "" if pd.isna(low) or pd.isna(high) else f"{format_decimal(low, 2)} – {format_decimal(high, 2)}"

    def format_mean(self) -> str:
        """The mean, ± the standard deviation between seeds if there are several."""
        return format_decimal(self.mean) + ("" if pd.isna(self.sd) else f" ± {format_decimal(self.sd)}")

    def format_interval(self) -> str:
        """The same with the interval of the mean."""
        return f"{self.format_mean()} [{format_decimal(self.low)}, {format_decimal(self.high)}]"


def board_rows(results: pd.DataFrame, ranks: pd.DataFrame, track: str) -> list[BoardRow]:
    """The experiments of ``track``, best first, from the tables results.parquet and ranks.csv.

    Those without a value are last.
    """
    names = experiment_names(results)
    known = ranks[ranks["track"] == track].set_index("experiment")[["mean", "sd", "mean_lo", "mean_hi"]]
    rows = [
        BoardRow(experiment, names[experiment], *_means(known, experiment), _average(seeds), seeds)
        for experiment, seeds in _by_experiment(results[results["track"] == track])
    ]
    return sorted(rows, key=lambda row: -1.0 if pd.isna(row.mean) else row.mean, reverse=True)


def clean_share(rows: list[BoardRow]) -> float | None:
    """The share of clean images on the line, for which dice_all is given too; None if the study states none."""
    known = [row for row in rows if pd.notna(row.values["dice_at_clean_share"])]
    return known[0].values["clean_share"] if known else None


def board_notes(rows: list[BoardRow], ranks: pd.DataFrame, track: str) -> list[str]:
    """Notes below the table of ``track``: luck of the first row, rows that predict nothing, marks."""
    notes = luck_note(rows, ranks, track)
    if silent := [name for row in rows for name in _predicting_nothing(row)]:
        worth = "just the share of clean images" if PRIMARY[track] == "dice_all" else "0"
        notes.append(
            f"No pixel of any test image is predicted, so that {PRIMARY[track]} is {worth}: {', '.join(silent)}."
        )
    if any(row.owes_nothing_to_val and pd.notna(row.values["post_processing"]) for row in rows):
        notes.append(BY_VAL_LABELS_NOTE)
    return notes


def luck_note(rows: list[BoardRow], ranks: pd.DataFrame, track: str) -> list[str]:
    """A sentence on how much too high the value of the first of several rows is, if that is known."""
    luck = ranks.loc[ranks["track"] == track, "luck"].max()
    if len(rows) < 2 or pd.isna(luck):
        return []
    points = f"about {100 * luck:.1f} pp" if luck >= 0.0005 else "less than 0.1 pp"
    return [f"The first of {len(rows)} is partly lucky: its value is too high by {points} on average."]


def _by_experiment(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for experiment, seeds in rows.groupby("experiment", sort=False):
        yield str(experiment), seeds.sort_values("seed", kind="stable")


def _means(known: pd.DataFrame, experiment: str) -> tuple[float, float, float, float]:
    mean, sd, low, high = known.reindex([experiment]).iloc[0]
    return mean, sd, low, high


def _average(seeds: pd.DataFrame) -> dict[str, Any]:
    return {
        str(name): column.mean()
        if is_numeric_dtype(column) and not is_bool_dtype(column)
        else next(iter(column.dropna()), None)
        for name, column in seeds.items()
    }


def _predicting_nothing(row: BoardRow) -> list[str]:
    """Name of the row, or of those of its seeds that predict nothing: precision is not defined then."""
    silent = row.trainings[row.trainings["Precision"].isna() & row.trainings[PRIMARY[row.values["track"]]].notna()]
    if len(silent) == len(row.trainings):
        return [row.name]
    return [f"{row.name} seed {seed}" for seed in silent["seed"]]

"""Plot of the choices on validation images: threshold curves, and the gains of post-processing candidates."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from defectbench.config.base import MERGED
from defectbench.config.report import ResultsSettings
from defectbench.files import read_json
from defectbench.metrics.codes import N_BINS
from defectbench.reporting import palette, words
from defectbench.reporting.plots import style

TITLE = "Thresholds and post-processing, chosen on the validation images"
WIDTH, HEIGHT = 10.0, 1.4  # inches; the height is that of a row's axes, unless its texts take more
CURVE, GAINS = (0.85, 2.75), (4.5, 1.8)  # inches from the left, and width, of the two columns of axes
TEXTS = 6.55  # inches from the left
HEADER, BELOW = 0.32, 0.45  # inches of a row's name above its axes, and of the ticks below them
# Rows are tall: of a large study only the best are drawn; calibration.json has the others.
MOST_ROWS = 15
LEAST_GAIN = 0.01  # least half-range of the axis of gains: smaller differences do not matter
# Objective -> full name, and label of an axis.
OBJECTIVES = {
    "dice_all": ("mean Dice over all val images, both masks empty = 1", "mean Dice"),
    "f1": ("F1 of all val pixels together", "F1"),
    "youden": ("Youden's J (recall + specificity − 1) of all val pixels together", "Youden's J"),
    "recall_at_least": (
        "share of val pixels not predicted, where enough defective ones are; elsewhere below 0 by what recall lacks",
        "share not predicted",
    ),
}
METRIC_OF_TRACK = {"automatic": "dice_all", "oracle": "test_Dice", "reference": "dice_all"}


@dataclass(frozen=True)
class Row:
    """One experiment and its calibration.json."""

    exp_id: str
    label: str
    calibration: dict[str, Any]

    @property
    def colours(self) -> dict[str, str]:
        """Colour of each class that has a curve."""
        return palette.distinct_colours(name for name, value in self.calibration["value"].items() if value is not None)

    @property
    def height(self) -> float:
        """Inches of the row's axes, or of the texts beside them if these are taller."""
        return max(HEIGHT, style.LINE * 3 * len(self.calibration["thresholds"]))

    def gains(self, name: str) -> np.ndarray:
        """Gain of each candidate in the objective of class ``name``, best first."""
        values = np.array(list(self.calibration["candidates"][name].values()), dtype=float)
        return np.sort(values - values[0])[::-1]


def read_rows(table: pd.DataFrame, folders: Sequence[Path]) -> list[Row]:
    """Read the calibration of every row of results.parquet that has scores, in the order of the ranking."""
    ranked = pd.concat([words.label_rows(table, track, metric) for track, metric in METRIC_OF_TRACK.items()])
    folder_of = {folder.name: folder for folder in folders}
    rows = []
    for row in ranked.to_dict("records"):
        label = f"{row['label']}, trained on {words.format_labels(row['n_labels_train'])} labels"
        rows.append(Row(row["exp_id"], label, read_json(folder_of[row["exp_id"]] / "calibration.json")))
    return [row for row in rows if row.calibration["has_scores"]]


def draw_calibration(results: pd.DataFrame, experiments: ResultsSettings) -> Figure:
    """Draw the calibration of the experiments in the rows of results.parquet."""
    return calibration_figure(read_rows(results, experiments.experiments), results["dataset"].iloc[0])


@style.house_style
def calibration_figure(rows: Sequence[Row], dataset: str) -> Figure:
    """Draw a row per experiment: objective against threshold, gains of post-processing, and the choices."""
    if not rows:
        return style.message_figure(
            TITLE, "No experiment of this study has scores, so there was no threshold to choose."
        )
    best_rows = rows[:MOST_ROWS]
    lines = style.wrap(_explanations(rows, dataset), WIDTH - 2 * style.MARGIN)
    top = style.heading_height(lines) + 0.1
    height = top + sum(HEADER + row.height + BELOW for row in best_rows) + 0.2
    figure = Figure(figsize=(WIDTH, height), dpi=style.DPI)
    style.draw_heading(figure, TITLE, lines)
    for row in best_rows:
        style.write(figure, style.MARGIN, top, row.label, fontweight="bold")
        top += HEADER
        last = row is best_rows[-1]
        _draw_curves(style.add_axes(figure, CURVE[0], top, CURVE[1], row.height), row, last)
        if row.calibration["candidates"]:
            _draw_gains(style.add_axes(figure, GAINS[0], top, GAINS[1], row.height), row, last)
        _write_choices(figure, top, row)
        top += row.height + BELOW
    return figure


def _explanations(rows: Sequence[Row], dataset: str) -> list[str]:
    first = rows[0].calibration
    texts = [
        f"{dataset}: {OBJECTIVES[first['objective']][0]}; {first['n_images']:,} images. The test images played no part "
        "in these choices.",
        "Left: every threshold; dot: the chosen one; shaded: 95 % of those that resampled val images choose; dotted "
        "line: p = 0.5.",
    ]
    if any(row.calibration["candidates"] for row in rows):
        texts[-1] += (
            " Middle: gain of every post-processing that was tried; dot: the chosen one; large losses are "
            "below the frame. Areas in % of the image. Expect less on other images than on those it was chosen on."
        )
    else:
        texts[-1] += " No post-processing was tried."
    if len(rows) > MOST_ROWS:
        texts.append(f"{len(rows) - MOST_ROWS:,} more experiments have their curves in calibration.json.")
    return texts


def _draw_curves(axes: Axes, row: Row, last: bool) -> None:
    p = np.arange(1, N_BINS) / N_BINS
    axes.axvline(0.5, color=palette.MUTED, linewidth=0.9, linestyle=(0, (2, 3)), zorder=0.5)
    for name, colour in row.colours.items():
        curve = np.array(row.calibration["curve"][name], dtype=float)
        if found := row.calibration["threshold_range"][name]:
            axes.axvspan(*found, color=colour, alpha=0.12, linewidth=0, gid=f"range {row.exp_id} {name}")
        threshold, value = row.calibration["threshold"][name], row.calibration["value"][name]
        axes.plot(p, curve, color=colour, linewidth=1.6, gid=f"curve {row.exp_id} {name}")
        dot_style: style.Look = {"color": colour, "markeredgecolor": "white", "clip_on": False, "zorder": 3}
        axes.plot(threshold, value, "o", **dot_style, gid=f"threshold {row.exp_id} {name}")
    axes.set_xlim(0, 1)
    axes.grid(axis="y")
    axes.yaxis.set_label_coords(-0.19, 0.5)
    axes.set_ylabel(OBJECTIVES[row.calibration["objective"]][1])
    axes.set_xlabel("threshold p" if last else "")


def _draw_gains(axes: Axes, row: Row, last: bool) -> None:
    axes.axhline(0, color=palette.MUTED, linewidth=0.9, zorder=0.5)
    largest = LEAST_GAIN
    for name, colour in row.colours.items():
        gains = row.gains(name)
        ranks = np.arange(1, len(gains) + 1)
        axes.plot(ranks, gains, ".", color=colour, markersize=3.5, alpha=0.7, gid=f"gains {row.exp_id} {name}")
        axes.plot(1, gains[0], "o", color=colour, markeredgecolor="white", gid=f"gain {row.exp_id} {name}")
        largest = max(largest, gains[0])
    axes.set_ylim(-1.1 * largest, 1.1 * largest)
    axes.grid(axis="y")
    axes.set_xlabel("gain of candidates, best first" if last else "")


def _write_choices(figure: Figure, top: float, row: Row) -> None:
    """Write threshold and post-processing of each class beside its colour."""
    calibration = row.calibration
    width = WIDTH - TEXTS - 0.2 - style.MARGIN
    for i, name in enumerate(calibration["thresholds"]):
        start = top + 3 * style.LINE * i
        value, at_half = calibration["value"][name], calibration["value_at_half"][name]
        title = "" if name == MERGED else f"{name}: "
        choice = f"p ≥ {calibration['threshold'][name]:.3f}"
        if value is None:
            lines = [f"{title}{choice}", "no true pixel on val: nothing to choose"]
        else:
            lines = [
                f"{title}{choice}",
                f"{value:.3f} ({at_half:.3f} at p = 0.5)",
                *_post_processing(calibration, name),
            ]
            style.write(figure, TEXTS, start - 0.03, "■", color=row.colours[name], fontsize=style.TITLE_SIZE)
        for j, line in enumerate(lines):
            text = style.shorten(line, width, style.SMALL_SIZE)
            text_style: style.Look = {"color": palette.MUTED if j else palette.INK, "fontsize": style.SMALL_SIZE}
            style.write(figure, TEXTS + 0.2, start + 0.92 * style.LINE * j, text, **text_style)


def _post_processing(calibration: dict[str, Any], name: str) -> list[str]:
    """The chosen post-processing and its gain in words; nothing if none was tried."""
    if name not in calibration["candidates"]:
        return []
    value, plain = calibration["post_processed"][name]["value"], next(iter(calibration["candidates"][name].values()))
    if value == plain:
        return ["no post-processing does better"]
    best = next(steps for steps, objective in calibration["candidates"][name].items() if objective == value)
    return [f"+{value - plain:.3f}: {best.removesuffix(' of the image').replace('>=', '≥')}"]

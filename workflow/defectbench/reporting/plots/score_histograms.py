"""Histograms of IoU and Dice over the defective test images."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from defectbench.metrics.counts import dice, iou
from defectbench.reporting import words
from defectbench.reporting.plots import style
from defectbench.reporting.plots.lines import best_of, hues_of, with_track
from defectbench.reporting.records import Record

TITLE = "IoU and Dice of the defective test images"
WIDTH, HEIGHT = 10.0, 1.1  # inches; the height is that of a histogram's axes
LEFT, BETWEEN, NAME, BELOW = 0.85, 0.6, 0.3, 0.6
N_BINS = 20
MOST_MODELS = 3  # of each track
_SCORES: dict[str, Callable[..., np.ndarray]] = {"IoU": iou, "Dice": dice}


@style.house_style
def score_histograms_figure(records: Sequence[Record]) -> Figure:
    """Draw a histogram of IoU and one of Dice, a row per experiment, for the best of each track."""
    best_records: list[Record] = []
    n_hidden = 0
    for track in ("automatic", "oracle"):
        of_track, n = best_of(records, track, MOST_MODELS)
        best_records, n_hidden = [*best_records, *of_track], n_hidden + n
    counted = [(record, _defective_counts(record)) for record in best_records]
    counted = [(record, counts) for record, counts in counted if len(counts)]
    if not counted:
        return style.message_figure(TITLE, "No trained experiment has a defective test image.")
    lines = style.wrap(_explanations(counted, n_hidden), WIDTH - 2 * style.MARGIN)
    top, row = style.heading_height(lines) + 0.15, NAME + HEIGHT + 0.35
    figure = Figure(figsize=(WIDTH, top + row * len(counted) + BELOW), dpi=style.DPI)
    style.draw_heading(figure, TITLE, lines)
    hues = hues_of(records)
    width = (WIDTH - LEFT - style.MARGIN - BETWEEN) / 2
    histograms: list[Axes] = []
    for record, counts in counted:
        name = style.shorten(with_track(record), WIDTH - 2 * style.MARGIN)
        style.write(figure, style.MARGIN, top, name, fontweight="bold")
        for k, (score, function) in enumerate(_SCORES.items()):
            axes = style.add_axes(figure, LEFT + k * (width + BETWEEN), top + NAME, width, HEIGHT)
            values = function(*(counts[column].to_numpy() for column in ("tp", "fp", "fn")))
            shares, edges = np.histogram(values, N_BINS, (0, 1))
            bar_style: style.Look = {"color": hues[record.row["family"]], "edgecolor": "white", "linewidth": 0.6}
            bars = axes.bar(edges[:-1], 100 * shares / len(counts), 1 / N_BINS, align="edge", **bar_style)
            bars[0].set_gid(f"bars {record.exp_id} {score}")
            axes.set_xlim(0, 1)
            axes.grid(axis="y")
            axes.set_xlabel(f"{score} of an image" if record is counted[-1][0] else "")
            histograms.append(axes)
        histograms[-2].set_ylabel("% of images")
        top += row
    most = max(axes.get_ylim()[1] for axes in histograms)
    for axes in histograms:
        axes.set_ylim(0, most)
    return figure


def _explanations(counted: Sequence[tuple[Record, pd.DataFrame]], n_hidden: int) -> list[str]:
    texts = [f"Share of the images in each of {N_BINS} bins, on one scale; merged masks, headline threshold."]
    if any(record.row["track"] == "oracle" for record, _ in counted):
        texts.append(f"Oracle track, marked: {words.ORACLE}")
    if n_hidden:
        texts.append(f"Shown are the {MOST_MODELS} best of each track; {n_hidden:,} more experiments are not.")
    return texts


def _defective_counts(record: Record) -> pd.DataFrame:
    counts = record.counts()
    return counts[counts["n_truth"] > 0]

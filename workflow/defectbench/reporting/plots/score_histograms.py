"""How IoU and Dice are spread over the defective test images: histograms."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure

from defectbench.metrics.counts import dice, iou
from defectbench.reporting.plots.lines import Curve, Panel, Row, best_of, lines_figure
from defectbench.reporting.records import Record

TITLE = "IoU and Dice of the defective test images"
N_BINS = 20
MOST = 3
"""Histograms that can be told apart on top of one another."""
_SCORES = {"IoU": iou, "Dice": dice}


def score_histograms_figure(records: Sequence[Record]) -> Figure:
    """Draw a histogram of IoU and one of Dice for the best experiments of each track."""
    rows = []
    for track in ("automatic", "oracle"):
        shown, n_hidden = best_of(records, track, MOST)
        panels = []
        for name, score in _SCORES.items():
            curves = [curve for record in shown for curve in [_histogram(record, score)] if curve is not None]
            panels.append(Panel(f"{name} of an image", "share of the images", curves, y_range=None))
        if panels[0].curves:
            rows.append(Row(track, panels, n_hidden))
    texts = [f"Share of the images in each of {N_BINS} bins; merged masks, headline threshold."]
    return lines_figure(TITLE, texts, rows, "No trained experiment has a defective test image.")


def _histogram(record: Record, score: Callable[..., np.ndarray]) -> Curve | None:
    counts = record.counts()
    counts = counts[counts["n_truth"] > 0]
    if counts.empty:
        return None
    values = score(*(counts[name].to_numpy() for name in ("tp", "fp", "fn")))
    shares, edges = np.histogram(values, N_BINS, (0, 1))
    steps = np.repeat(shares / len(counts), 2)
    return Curve(record, np.repeat(edges, 2), np.concatenate([[0], steps, [0]]))

"""Plot of success: the share of images with IoU of at least t, for every t."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from defectbench.reporting.plots.band import EXPLANATION, bootstrap_of, ratio_band
from defectbench.reporting.plots.lines import Curve, Panel, Row, best_of, hues_of, lines_figure
from defectbench.reporting.records import Record

TITLE = "Success at every demand on IoU"
PERCENT = np.arange(101)


def success_figure(records: Sequence[Record]) -> Figure:
    """Draw the share of defective test images with IoU ≥ t against t, for the best experiments of each track."""
    rows = []
    for track in ("automatic", "oracle"):
        best_records, n_hidden = best_of(records, track)
        curves = [curve for curve in map(_curve, best_records) if curve is not None]
        if curves:
            panel = Panel("demanded IoU t", "share of defective images with IoU ≥ t", curves)
            rows.append(Row(track, [panel], n_hidden))
    texts = [f"The area under a curve is the mean IoU; at 0.5, 0.75 and 0.9 it is IoU@50, @75 and @90. {EXPLANATION}"]
    return lines_figure(TITLE, texts, rows, "No experiment has a defective test image.", hues_of(records))


def _curve(record: Record) -> Curve | None:
    counts = record.counts()
    counts = counts[counts["n_truth"] > 0]
    if counts.empty:
        return None
    tp, union = counts["tp"].to_numpy(), (counts["tp"] + counts["fp"] + counts["fn"]).to_numpy()
    # In whole numbers, as IoU@50 and the others.
    reached = (100 * tp[:, None] >= PERCENT * union[:, None]).astype(float)
    bounds = ratio_band(reached, np.ones_like(reached), bootstrap_of(counts["group"].to_numpy()))
    return Curve(record, PERCENT / 100, reached.mean(axis=0), *bounds)

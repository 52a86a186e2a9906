"""Reliability diagram: observed against predicted frequency of defective pixels."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from defectbench.metrics.codes import N_BINS
from defectbench.reporting.plots.band import band, bootstrap_of
from defectbench.reporting.plots.lines import Curve, Panel, Row, best_of, hues_of, lines_figure
from defectbench.reporting.records import Record

TITLE = "Reliability of the probabilities, test pixels"
BINS = 16
FEWEST = 100  # pixels of a bin: fewer give no reliable frequency
P = (np.arange(N_BINS) + 0.5) / N_BINS


def reliability_figure(records: Sequence[Record]) -> Figure:
    """Draw observed against predicted frequency of defect in 16 bins, for the best experiments with scores."""
    rows = []
    for track in ("automatic", "oracle"):
        best_records, n_hidden = best_of([record for record in records if record.metrics["has_scores"]], track, limit=6)
        curves = [_curve(record) for record in best_records]
        if curves:
            labels = "mean predicted probability", "share of pixels that are defective"
            rows.append(Row(track, [Panel(*labels, curves, diagonal=True)], n_hidden))
    texts = [
        "Pixels of all test images in 16 bins of equal width; on the dotted diagonal probabilities are frequencies. "
        f"Bins of fewer than {FEWEST} pixels are left out. "
        "Bars: 95 % intervals, percentiles of a bootstrap over groups of test images. ECE: expected calibration error."
    ]
    return lines_figure(TITLE, texts, rows, "No experiment of this study has scores.", hues_of(records))


def _curve(record: Record) -> Curve:
    """The curve with its expected calibration error: mean distance from the diagonal, weighted by pixels."""
    groups, histograms = record.image_histograms()
    negative, positive = (_binned(histograms[:, side].astype(float)) for side in (0, 1))
    pixels = histograms.sum(axis=(0, 1)).astype(float)
    of_bins = _binned(pixels)
    with np.errstate(invalid="ignore"):
        x = _binned(pixels * P) / of_bins
    y = _frequency(negative.sum(axis=0), positive.sum(axis=0))
    low, high = band((negative, positive), bootstrap_of(groups), _frequency)
    error = float(np.nansum(np.abs(x - y) * of_bins) / of_bins.sum())
    x[of_bins < FEWEST] = np.nan
    return Curve(record, x, y, low, high, points=True, note=f"ECE\u00a0{error:.3f}")


def _binned(values: np.ndarray) -> np.ndarray:
    return values.reshape(*values.shape[:-1], BINS, -1).sum(axis=-1)


def _frequency(negative: np.ndarray, positive: np.ndarray) -> np.ndarray:
    total = negative + positive
    return np.divide(positive, total, out=np.full_like(total, np.nan), where=total > 0)

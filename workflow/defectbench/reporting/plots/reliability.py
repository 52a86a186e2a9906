"""Reliability diagram: observed against predicted frequency of defective pixels."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from defectbench.metrics.codes import N_BINS
from defectbench.reporting.plots.band import bootstrap_of, ratio_band
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
        f"Bins of fewer than {FEWEST} pixels are left out. Bars: 95 % intervals over groups of test images. "
        "ACE: average calibration error, the mean distance of the dots from the diagonal, each bin counting alike "
        "(Neumann et al., 2018). The more common expected calibration error (ECE) weights bins by their pixels; of "
        "these nearly all are background with p near 0, so it would be near 0 whatever the other bins say."
    ]
    return lines_figure(TITLE, texts, rows, "No experiment of this study has scores.", hues_of(records))


def _curve(record: Record) -> Curve:
    groups, histograms = record.image_histograms()
    x, y = calibration_bins(histograms.sum(axis=0))
    pixels, positive = (_binned(counts.astype(float)) for counts in (histograms.sum(axis=1), histograms[:, 1]))
    low, high = ratio_band(positive, pixels, bootstrap_of(groups))
    return Curve(record, x, y, low, high, points=True, note=f"ACE\u00a0{average_calibration_error(x, y):.3f}")


def calibration_bins(histogram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean probability and share of positive pixels in each of 16 bins, both (16,), of a histogram (2, 256).

    NaN of bins with fewer than FEWEST pixels.
    """
    pixels = histogram.sum(axis=0).astype(float)
    of_bins = _binned(pixels)
    of_bins[of_bins < FEWEST] = np.nan
    return _binned(pixels * P) / of_bins, _binned(histogram[1]) / of_bins


def average_calibration_error(predicted: np.ndarray, observed: np.ndarray) -> float:
    """Mean distance of ``observed`` from ``predicted`` frequencies over the bins that have both, without NaN.

    L. Neumann, A. Zisserman, A. Vedaldi, Relaxed softmax: efficient confidence auto-calibration for safe pedestrian
    detection, NeurIPS workshop on machine learning for intelligent transportation systems, 2018; in segmentation: T.
    Barfoot et al., Average calibration error: a differentiable loss for improved reliability in image segmentation,
    MICCAI 2024.
    """
    return float(np.nanmean(np.abs(predicted - observed)))


def _binned(values: np.ndarray) -> np.ndarray:
    return values.reshape(*values.shape[:-1], BINS, -1).sum(axis=-1)

"""Plot of precision, recall and F1 of all test pixels at every threshold; no threshold was chosen by them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from defectbench.evaluation.pixel_curves import FEWEST_GROUPS, percentile_interval
from defectbench.metrics.codes import N_BINS
from defectbench.metrics.histograms import sweep
from defectbench.reporting.plots.band import EXPLANATION, bootstrap_of, ratio_band
from defectbench.reporting.plots.lines import Curve, Panel, Row, best_of, hues_of, lines_figure
from defectbench.reporting.records import Record

TITLE = "Precision, recall and threshold, test pixels"
# Middles of 400 equal parts: the mean height of a curve is the area under it.
RECALL = (np.arange(400) + 0.5) / 400
P = np.arange(1, N_BINS) / N_BINS
# Of recall, between neighbouring thresholds k/256: where they are further apart, the images' histograms, which have
# these thresholds alone, do not tell the precision in between.
RESOLVED = 0.05


def precision_recall_figure(records: Sequence[Record]) -> Figure:
    """Draw precision against recall, and F1 against the threshold, for the best experiments with scores."""
    rows = []
    for track in ("automatic", "oracle"):
        best_records, n_hidden = best_of([record for record in records if record.metrics["has_scores"]], track)
        pairs = [_curves(record) for record in best_records]
        if pairs:
            left, right = zip(*pairs, strict=True)
            panels = [Panel("recall", "precision", left), Panel("threshold p", "F1 of all pixels", right)]
            rows.append(Row(track, panels, n_hidden))
    texts = [
        f"Pixels of all test images together. {EXPLANATION} Dot: the threshold of the results; it was chosen on val "
        "images. Left: every distinct score is a threshold, and the mean height of a curve is AUPRC; bands only where "
        f"neighbouring thresholds k/256 are at most {RESOLVED:g} of recall apart, and from {FEWEST_GROUPS} groups on. "
        "Right: thresholds k/256."
    ]
    return lines_figure(TITLE, texts, rows, "No experiment of this study has scores.", hues_of(records))


def _curves(record: Record) -> tuple[Curve, Curve]:
    groups, histograms = record.image_histograms()
    tp, fp, fn = (counts.astype(float) for counts in sweep(histograms))
    bootstrap = bootstrap_of(groups)
    sums = [part.sum(axis=0) for part in (tp, fp, fn)]
    threshold = record.row["threshold"]
    index = None if threshold is None else round(threshold * N_BINS) - 1
    predicted, recall, f1 = sums[0] + sums[1], sums[0] / np.maximum(sums[0] + sums[2], 1), _f1(*sums)
    precision = np.divide(sums[0], predicted, out=np.full_like(f1, np.nan), where=predicted > 0)
    exact = precision_at_recall(record.full_histogram())
    first = Curve(
        record,
        RECALL,
        exact,
        *percentile_interval(histograms, bootstrap, resolved_precision, exact),
        marked=None if index is None else (recall[index], precision[index]),
    )
    second = Curve(
        record,
        P,
        f1,
        *ratio_band(2 * tp, 2 * tp + fp + fn, bootstrap),
        marked=None if index is None else (P[index], f1[index]),
    )
    return first, second


def _f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    total = 2 * tp + fp + fn
    return np.divide(2 * tp, total, out=np.full_like(tp, np.nan), where=total > 0)


def precision_at_recall(histogram: np.ndarray) -> np.ndarray:
    """Precision at each of RECALL of a histogram (2, K) of ascending scores: at the highest that reaches it, (400,).

    NaN if no pixel is positive. These are the steps whose area is the average precision.
    """
    negative, positive = histogram[:, ::-1]
    tp = np.cumsum(positive)
    if not tp[-1]:
        return np.full(len(RECALL), np.nan)
    # Pixels are whole numbers, wanted ones rounded: where these should be equal, they are.
    first = np.searchsorted(tp, RECALL * tp[-1] - 1e-6, side="left")
    return tp[first] / (tp + np.cumsum(negative))[first]


def resolved_precision(histograms: np.ndarray) -> np.ndarray:
    """Precision (M, 400) at RECALL of histograms (M, 2, 256), false positives growing evenly within a bin.

    Davis and Goadrich, The relationship between precision-recall and ROC curves, ICML 2006. NaN in bins that hold more
    than RESOLVED of the positive pixels.
    """
    values = np.full((len(histograms), len(RECALL)), np.nan)
    for i, (fp, tp) in enumerate(_from_highest(histograms)):
        if tp[-1]:
            wanted = RECALL * tp[-1]
            width = np.diff(tp)[np.searchsorted(tp, wanted, side="left") - 1]
            precision = wanted / (wanted + np.interp(wanted, tp, fp))
            values[i] = np.where(width <= RESOLVED * tp[-1], precision, np.nan)
    return values


def _from_highest(counts: np.ndarray) -> np.ndarray:
    """Pixels (..., 257) with a score in the highest 0, 1 ... 256 bins of ``counts`` (..., 256)."""
    sums = np.cumsum(counts[..., ::-1], axis=-1)
    return np.concatenate([np.zeros_like(sums[..., :1]), sums], axis=-1)

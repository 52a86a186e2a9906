"""Plot of precision, recall and F1 of all test pixels at every threshold; no threshold was chosen by them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from defectbench.metrics.codes import N_BINS
from defectbench.metrics.histograms import sweep
from defectbench.reporting.plots.band import EXPLANATION, band, bootstrap_of
from defectbench.reporting.plots.lines import Curve, Panel, Row, best_of, hues_of, lines_figure
from defectbench.reporting.records import Record

TITLE = "Precision, recall and threshold, test pixels"
RECALL = np.linspace(0.01, 1, 100)
P = np.arange(1, N_BINS) / N_BINS


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
        "Pixels of all test images together, at 255 thresholds. Dot: the threshold of the results; it was chosen on "
        f"val images. {EXPLANATION}"
    ]
    return lines_figure(TITLE, texts, rows, "No experiment of this study has scores.", hues_of(records))


def _curves(record: Record) -> tuple[Curve, Curve]:
    groups, histograms = record.image_histograms()
    tp, fp, fn = (counts.astype(float) for counts in sweep(histograms))
    bootstrap = bootstrap_of(groups)
    sums = [part.sum(axis=0) for part in (tp, fp, fn)]
    threshold = record.row["threshold"]
    index = None if threshold is None else round(threshold * N_BINS) - 1
    precision, recall, f1 = _precision(*sums), sums[0] / np.maximum(sums[0] + sums[2], 1), _f1(*sums)
    first = Curve(
        record,
        RECALL,
        _precision_at_recall(*sums),
        *band((tp, fp, fn), bootstrap, _precision_at_recall),
        marked=None if index is None else (recall[index], precision[index]),
    )
    second = Curve(
        record, P, f1, *band((tp, fp, fn), bootstrap, _f1), marked=None if index is None else (P[index], f1[index])
    )
    return first, second


def _precision(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    predicted = tp + fp
    return np.divide(tp, predicted, out=np.full_like(tp, np.nan), where=predicted > 0)


def _f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    total = 2 * tp + fp + fn
    return np.divide(2 * tp, total, out=np.full_like(tp, np.nan), where=total > 0)


def _precision_at_recall(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Precision (..., 100) at each of RECALL: at the highest threshold that reaches it; NaN if none does."""
    precision, recall = np.atleast_2d(_precision(tp, fp, fn)), np.atleast_2d(tp / np.maximum(tp + fn, 1))
    values = np.full((len(recall), len(RECALL)), np.nan)
    for i, (precision_of, recall_of) in enumerate(zip(precision, recall, strict=True)):
        # Recall falls with the threshold: the number of thresholds that still reach a recall is the place of the last.
        n = len(recall_of) - np.searchsorted(recall_of[::-1], RECALL, side="left")
        values[i] = np.where(n > 0, precision_of[np.maximum(n - 1, 0)], np.nan)
    return values if np.ndim(tp) > 1 else values[0]

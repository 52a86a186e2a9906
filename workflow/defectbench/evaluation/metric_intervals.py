"""95 % intervals of an experiment's metrics on the test images, over whole groups of these."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from defectbench.evaluation.image_scores import METRICS, image_counts, read_image_rows, read_image_scores
from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.evaluation.pixel_curves import average_precisions, percentile_interval, read_image_histograms
from defectbench.evaluation.policies import POST_PROCESSED
from defectbench.metrics.definitions import ImageCounts
from defectbench.metrics.hits import Hits
from defectbench.metrics.shape_metrics import SHAPE_METRICS


def _iou_at(percent: int) -> Callable[[ImageCounts], np.ndarray]:
    def reached(images: ImageCounts) -> np.ndarray:
        enough = 100 * images.tp >= percent * (images.tp + images.fp + images.fn)
        return np.where(images.defective, enough, np.nan)

    return reached


# Metric -> the value of each image, (N,) in [0, 1]; NaN where the mean leaves an image out.
SHARES: dict[str, Callable[[ImageCounts], np.ndarray]] = {
    **{f"IoU@{percent}": _iou_at(percent) for percent in (50, 75, 90, 95)},
    "fp_image_rate": lambda images: np.where(images.defective, np.nan, images.flagged),
    "image_accuracy": lambda images: (images.defective == images.flagged).astype(float),
}
# Metric -> numerator and denominator of each image, (N,): the metric is the ratio of their totals.
RATIOS: dict[str, Callable[[ImageCounts], tuple[np.ndarray, np.ndarray]]] = {
    "Precision": lambda images: (images.tp, images.tp + images.fp),
    "Recall": lambda images: (images.tp, images.tp + images.fn),
    "F1": lambda images: (2 * images.tp, 2 * images.tp + images.fp + images.fn),
    "iou_dataset": lambda images: (images.tp, images.tp + images.fp + images.fn),
    "image_F1": lambda images: (2 * (images.defective & images.flagged), 1 * images.defective + images.flagged),
}
POST_PROCESSED_SCORES = {f"{metric}_pp": metric for metric in METRICS}
WITH_INTERVAL = (*METRICS, *SHARES, *SHAPE_METRICS, *POST_PROCESSED_SCORES, *RATIOS, "AUPRC")
"""Metrics that have bounds, columns ``X_lo`` and ``X_hi`` of results.csv"""


def metric_intervals(
    folder: Path, metrics: dict[str, Any], scores: pd.DataFrame, bootstrap: GroupBootstrap
) -> dict[str, float]:
    """Columns ``X_lo`` and ``X_hi`` of the metrics WITH_INTERVAL that are defined in ``metrics``.

    ``metrics`` is metrics.json of ``folder``; ``scores`` are its scores per image at the headline policy, of whose
    images ``bootstrap`` draws the groups.
    """
    rows = read_image_rows(folder, metrics["policy"])
    images = image_counts(rows)
    values = {name: scores[name].to_numpy() for name in METRICS}
    values |= {name: of_images(images) for name, of_images in SHARES.items()}
    values |= {name: Hits(*(rows[c].to_numpy() for c in m.columns)).score() for name, m in SHAPE_METRICS.items()}
    if any(metrics.get(name) is not None for name in POST_PROCESSED_SCORES):
        processed = read_image_scores(folder, POST_PROCESSED)
        values |= {name: processed[metric].to_numpy() for name, metric in POST_PROCESSED_SCORES.items()}

    defined = [name for name in WITH_INTERVAL if metrics.get(name) is not None]
    bounds = {name: bootstrap.interval(values[name], 0, 1) for name in defined if name in values}
    bounds |= {name: bootstrap.ratio_interval(*RATIOS[name](images)) for name in defined if name in RATIOS}
    if "AUPRC" in defined:
        bounds["AUPRC"] = _auprc_interval(folder, metrics["AUPRC"], rows["image_id"], bootstrap)
    return {f"{name}_{end}": bound for name in bounds for end, bound in zip(("lo", "hi"), bounds[name], strict=True)}


def _auprc_interval(folder: Path, auprc: float, image_ids: pd.Series, bootstrap: GroupBootstrap) -> tuple[float, float]:
    ids, histograms = read_image_histograms(folder)
    histograms = histograms[pd.Index(ids).get_indexer(image_ids)]
    low, high = percentile_interval(histograms, bootstrap, average_precisions, np.array(auprc))
    return float(low), float(high)

"""Metrics of cross-validation: of each fold, their mean and spread, and pooled over all folds.

The thresholds of a fold are chosen on the out-of-fold predictions of the other folds, so that no image takes part
in the choice of the threshold that it is scored at. Pooled metrics are of the same records, taken together.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from defectbench.config.base import MERGED
from defectbench.data.preview import preview_names
from defectbench.evaluation.objective import HALF_K, Objective
from defectbench.evaluation.policies import AT_HALF, CALIBRATED
from defectbench.evaluation.truth import EvaluationError, ValidationData, merge_masks
from defectbench.metrics.codes import N_BINS, threshold_code
from defectbench.metrics.counts import confusion
from defectbench.metrics.definitions import METRICS, dice_kaggle
from defectbench.metrics.histograms import sweep
from defectbench.metrics.image_counts import ImageCounts

Thresholds = dict[int, dict[str, int]]
"""fold -> class -> k: a pixel is predicted where p ≥ k/256"""
SUFFIXES = {CALIBRATED: "", AT_HALF: "_at_0.5"}
_COUNTS = ("tp", "fp", "fn", "n_pixels")


def cross_fit_thresholds(
    histograms: pd.DataFrame, classes: tuple[str, ...], folds: Mapping[str, int], objective: Objective
) -> Thresholds:
    """Thresholds of each fold, with the highest ``objective`` on all other folds.

    ``histograms`` are rows of hist.parquet (image_id, class, positive, negative); ``folds`` is the fold of each image.
    """
    thresholds: Thresholds = {fold: {} for fold in sorted(set(folds.values()))}
    for class_name in classes:
        rows = histograms[histograms["class"] == class_name]
        counted = np.stack([np.stack(rows["negative"]), np.stack(rows["positive"])], axis=1).astype(np.int64)
        of_image = rows["image_id"].map(folds).to_numpy()
        for fold in thresholds:
            others = counted[of_image != fold]
            curve = objective(*sweep(others), others.sum(axis=(1, 2)))
            thresholds[fold][class_name] = objective.best_candidate(curve)
    return thresholds


def count_folds(data: ValidationData, thresholds: Thresholds, folds: Mapping[str, int]) -> pd.DataFrame:
    """Counts of every image, class and policy, at the thresholds of its fold and at p = 0.5, streamed.

    Columns fold, image_id, class ("merged" and, of a model that predicts classes, each of them), policy, tp, fp, fn,
    n_pixels. The merged mask is the union of the class masks.

    Raises:
        EvaluationError: if an image is in no fold.
    """
    missing = [image_id for image_id in data.ids if image_id not in folds]
    if missing:
        raise EvaluationError(f"in no fold: {preview_names(missing, 'out-of-fold image(s)')}")
    rows = []
    for sample in data:
        fold = folds[sample.image_id]
        for policy in SUFFIXES:
            ks = [thresholds[fold][name] if policy == CALIBRATED else HALF_K for name in sample.classes]
            masks = sample.codes >= np.array([threshold_code(k) for k in ks], np.uint16)[:, None, None]
            layers = {MERGED: (merge_masks(masks), merge_masks(sample.truth))}
            if sample.classes != (MERGED,):
                layers |= dict(zip(sample.classes, zip(masks, sample.truth, strict=True), strict=True))
            for name, (mask, truth) in layers.items():
                rows.append((fold, sample.image_id, name, policy, *confusion(truth, mask), sample.n_pixels))
    return pd.DataFrame(rows, columns=["fold", "image_id", "class", "policy", *_COUNTS])


def fold_metrics(records: pd.DataFrame, thresholds: Thresholds) -> dict[str, Any]:
    """cv.json: every metric of counts per fold, its mean and standard deviation between folds, and pooled.

    ``records`` are the rows of :func:`count_folds`. Unsuffixed names are at the cross-fitted thresholds, ``_at_0.5`` at
    p = 0.5; all are of the merged masks, except ``dice_kaggle`` and those under ``per_class``. The standard deviation
    is that of a sample (n - 1); a metric that is not defined in every fold has neither mean nor deviation.
    """
    folds = {int(fold): _metrics(rows) for fold, rows in records.groupby("fold")}
    names = list(next(iter(folds.values())))
    values = {name: [metrics[name] for metrics in folds.values()] for name in names}
    defined = {name: np.array(series, float) for name, series in values.items() if None not in series}
    return {
        "n_folds": len(folds),
        "n_images": {fold: int(rows["image_id"].nunique()) for fold, rows in records.groupby("fold")},
        "thresholds": {fold: {name: k / N_BINS for name, k in by.items()} for fold, by in thresholds.items()},
        "folds": folds,
        "mean": {name: float(defined[name].mean()) if name in defined else None for name in names},
        "sd": {
            name: float(defined[name].std(ddof=1)) if name in defined and len(folds) > 1 else None for name in names
        },
        "pooled": _metrics(records),
    }


def _metrics(records: pd.DataFrame) -> dict[str, float | None]:
    """All metrics of some records, by name and suffix, and of each class by ``{name}/{class}``."""
    counts = {
        key: ImageCounts(*(rows[column].to_numpy(np.int64) for column in _COUNTS))
        for key, rows in records.groupby(["class", "policy"])
    }
    class_names = [name for name in records["class"].unique() if name != MERGED]
    metrics: dict[str, float | None] = {}
    for policy, suffix in SUFFIXES.items():
        metrics |= {name + suffix: metric(counts[MERGED, policy]) for name, metric in METRICS.items()}
        kaggle = dice_kaggle([counts[class_name, policy] for class_name in class_names])
        metrics |= {name + suffix: value for name, value in kaggle.items()}
        for class_name in class_names:
            images = counts[class_name, policy]
            metrics |= {f"{name}{suffix}/{class_name}": metric(images) for name, metric in METRICS.items()}
    return metrics

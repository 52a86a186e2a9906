"""metrics.json: every metric by its full name, as a function of the scored tables alone."""

from typing import Any

import numpy as np
import pandas as pd

from defectbench.evaluation.calibration import Calibration, objective
from defectbench.evaluation.invariants import check_kaggle, check_metrics, check_objective
from defectbench.evaluation.scoring import AT_HALF, CALIBRATED
from defectbench.evaluation.truth import ids_sha256
from defectbench.inference.prediction_file import MERGED
from defectbench.metrics.definitions import METRIC_VERSION, METRICS, ImageCounts, all_names, dice_kaggle, full_name
from defectbench.metrics.histograms import average_precision

ROLES = ("test", "val")
SUFFIX = {CALIBRATED: "", AT_HALF: "_at_0.5"}

Groups = dict[tuple[str, str, str], ImageCounts]
"""(role, class, policy) -> counts"""


def summarise(
    per_image: pd.DataFrame, pooled: pd.DataFrame, calibration: Calibration, data_digest: str
) -> dict[str, Any]:
    """Every metric of the rows of per_image.parquet and pooled_hist.parquet.

    Unsuffixed names are at the calibrated thresholds, ``_at_0.5`` at p = 0.5; None is what is not defined. All are of
    the merged masks, except those under ``per_class``. ``data_digest`` is the manifest's.

    Raises:
        InvariantError: if the metrics contradict each other, or what calibration says of the val images.
    """
    groups = _groups(per_image)
    names = [name for name in per_image["class"].unique() if name != MERGED]
    metrics = _class_metrics(groups, pooled, MERGED, calibration.has_scores) | _kaggle(groups, names)
    for name in calibration.thresholds:
        _check_calibration(groups, calibration, name)
    test_ids = per_image.loc[per_image["role"] == "test", "image_id"].unique()
    probabilities = list(calibration.threshold.values())
    return {
        "metric_version": METRIC_VERSION,
        "data_digest": data_digest,
        "test_ids_sha256": ids_sha256(test_ids),
        **_sizes(groups, MERGED),
        "has_scores": calibration.has_scores,
        "used_val_labels": calibration.used_val_labels,
        "threshold": probabilities[0] if len(probabilities) == 1 else None,
        "thresholds": calibration.threshold,
        **dict.fromkeys([*all_names("test"), *all_names("val")]),
        **metrics,
        "per_class": {
            name: {"threshold": calibration.threshold[name], **_sizes(groups, name)}
            | _class_metrics(groups, pooled, name, calibration.has_scores)
            for name in names
        },
    }


def _groups(per_image: pd.DataFrame) -> Groups:
    columns = ("tp", "fp", "fn", "n_pixels")
    return {
        key: ImageCounts(*(rows[column].to_numpy(np.int64) for column in columns))
        for key, rows in per_image.groupby(["role", "class", "policy"], sort=False)
    }


def _class_metrics(groups: Groups, pooled: pd.DataFrame, name: str, has_scores: bool) -> dict[str, float | None]:
    """All metrics of one class, or of the merged masks, over both roles and policies."""
    metrics = {}
    for role in ROLES:
        for policy, suffix in SUFFIX.items():
            images = groups[role, name, policy]
            values = {metric: function(images) for metric, function in METRICS.items()}
            check_metrics(values, images, f"{role}, {name}, {policy}")
            metrics |= {full_name(metric, role, suffix): value for metric, value in values.items()}
        rows = pooled[(pooled["role"] == role) & (pooled["class"] == name)].sort_values("code")
        histogram = rows[["negative", "positive"]].to_numpy(np.int64).T
        n_pixels = int(histogram.sum())
        metrics[full_name("AUPRC", role)] = average_precision(histogram) if has_scores else None
        metrics[full_name("prevalence", role)] = int(histogram[1].sum()) / n_pixels
        metrics[full_name("n_pixels", role)] = n_pixels
    return metrics


def _kaggle(groups: Groups, names: list[str]) -> dict[str, float | None]:
    metrics = {}
    for role in ROLES:
        for policy, suffix in SUFFIX.items():
            classes = [groups[role, name, policy] for name in names]
            values = dice_kaggle(classes)
            check_kaggle(values["dice_kaggle"], classes, f"{role}, {policy}")
            metrics |= {full_name(metric, role, suffix): value for metric, value in values.items()}
    return metrics


def _check_calibration(groups: Groups, calibration: Calibration, name: str) -> None:
    """Recompute the objective from the scored val images: a second, independent way to the same number."""
    values = {}
    for policy in SUFFIX:
        images = groups["val", name, policy]
        value = objective(calibration.objective, images.tp, images.fp, images.fn, images.n_pixels)
        values[policy] = None if np.isnan(value) else float(value)
    check_objective(calibration.objective, values[CALIBRATED], values[AT_HALF], calibration.value[name], f"val, {name}")


def _sizes(groups: Groups, name: str) -> dict[str, int]:
    sizes = {}
    for role in ROLES:
        defective = groups[role, name, CALIBRATED].defective
        sizes |= {f"n_{role}": len(defective), f"n_{role}_defective": int(defective.sum())}
    return sizes

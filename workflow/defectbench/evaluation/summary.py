"""Summary of an experiment's scores: metrics.json, a function of the scored tables alone."""

from itertools import product
from typing import Any

import numpy as np

from defectbench.config.base import MERGED
from defectbench.config.score import ScoreSettings
from defectbench.evaluation import policies
from defectbench.evaluation.calibration import Calibration
from defectbench.evaluation.class_metrics import ROLES, Key, Records, Suffixes, class_metrics
from defectbench.evaluation.invariants import check_kaggle, check_objective
from defectbench.evaluation.policies import AT_HALF, CALIBRATED, POST_PROCESSED
from defectbench.evaluation.scoring import Scores
from defectbench.evaluation.truth import ids_sha256
from defectbench.metrics.component_metrics import RECALL_AT_FP
from defectbench.metrics.definition import NOT_ORACLE
from defectbench.metrics.definitions import dice_kaggle
from defectbench.metrics.image_counts import ImageCounts
from defectbench.metrics.image_level import IMAGE_RANKING, OPERATING_RATES
from defectbench.metrics.names import DEFINITIONS, all_names, full_name
from defectbench.metrics.version import METRIC_VERSION

_DEFINITIONS = DEFINITIONS | RECALL_AT_FP | IMAGE_RANKING | OPERATING_RATES
OF_CLEAN = tuple(name for name, definition in _DEFINITIONS.items() if definition.track == NOT_ORACLE)
"""Metrics in which clean images take part."""


def summarise(
    scores: Scores,
    calibration: Calibration,
    data_digest: str,
    settings: ScoreSettings,
    zero_shot: bool = False,
    oracle: bool = False,
) -> dict[str, Any]:
    """Every metric of the rows of per_image.parquet, pooled_hist.parquet, components.parquet and froc.parquet.

    Unsuffixed names are at the calibrated thresholds, ``_at_0.5`` at p = 0.5, ``_pp`` with post-processing; None is
    what is not defined. If ``zero_shot`` (trained without labels), unsuffixed names are at p = 0.5 too, and
    ``_calibrated`` ones beside them. All are of the merged masks, except those under ``per_class``. ``by_size`` has
    the unsuffixed metrics of the test images in quartiles of their true area. ``data_digest`` is the manifest's.

    If ``oracle`` (prompts drawn from the truth, which clean images do not have), only defective images were predicted,
    and the metrics that clean images count in are None.

    Raises:
        InvariantError: if the metrics contradict each other, or the calibration's values on the val images.
    """
    records = Records(scores)
    names = [name for name in records.names if name != MERGED]
    suffixes = [pair for pair in policies.suffixes(zero_shot) if ("test", MERGED, pair[0]) in records.counts]
    metrics = class_metrics(records, MERGED, calibration.has_scores, suffixes, settings)
    metrics |= _kaggle(records.counts, names, suffixes)
    for name in calibration.thresholds:
        _check_calibration(records.counts, calibration, name)
    per_class = {name: class_metrics(records, name, calibration.has_scores, suffixes, settings) for name in names}
    if oracle:
        undefined = {full_name(*parts) for parts in product(OF_CLEAN, ROLES, [suffix for _, suffix in suffixes])}
        for values in (metrics, *per_class.values()):
            values |= dict.fromkeys(undefined & values.keys())
    if zero_shot:
        for values in (metrics, *per_class.values()):
            values |= dict.fromkeys(OPERATING_RATES)
    thresholds = dict.fromkeys(calibration.threshold, 0.5) if zero_shot else calibration.threshold
    probabilities = list(thresholds.values())
    return {
        "metric_version": METRIC_VERSION,
        "match_iou": settings.match_iou,
        "data_digest": data_digest,
        "test_ids_sha256": ids_sha256(records.test_ids),
        **_sizes(records.counts, MERGED),
        "has_scores": calibration.has_scores,
        "zero_shot": zero_shot,
        "policy": policies.headline(zero_shot),
        "used_val_labels": calibration.used_val_labels and not zero_shot,
        "threshold": probabilities[0] if len(probabilities) == 1 else None,
        "thresholds": thresholds,
        "thresholds_calibrated": calibration.threshold,
        "post_processing": {name: str(calibration.pipeline(name)[1]) for name in calibration.post_processed},
        **dict.fromkeys([*all_names("test"), *all_names("val")]),
        **metrics,
        "per_class": {
            name: {"threshold": thresholds[name], **_sizes(records.counts, name), **per_class[name]} for name in names
        },
    }


def _kaggle(counts: dict[Key, ImageCounts], names: list[str], suffixes: Suffixes) -> dict[str, float | None]:
    metrics: dict[str, float | None] = {}
    for role in ROLES:
        for policy, suffix in suffixes:
            classes = [counts[role, name, policy] for name in names]
            values = dice_kaggle(classes)
            check_kaggle(values["dice_kaggle"], classes, f"{role}, {policy}")
            metrics |= {full_name(metric, role, suffix): value for metric, value in values.items()}
    return metrics


def _check_calibration(counts: dict[Key, ImageCounts], calibration: Calibration, name: str) -> None:
    """Check the calibrated objective against the scored val images: the same number, computed independently."""
    recorded = {AT_HALF: calibration.value_at_half[name], CALIBRATED: calibration.value[name]}
    if calibration.post_processed:
        recorded[POST_PROCESSED] = calibration.post_processed[name]["value"]
    scored: dict[str, float | None] = {}
    for policy in recorded:
        images = counts["val", name, policy]
        value = calibration.maximised(images.tp, images.fp, images.fn, images.n_pixels)
        scored[policy] = None if np.isnan(value) else float(value)
    check_objective(calibration.objective, scored, recorded, f"val, {name}")


def _sizes(counts: dict[Key, ImageCounts], name: str) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for role in ROLES:
        defective = counts[role, name, CALIBRATED].defective
        sizes |= {f"n_{role}": len(defective), f"n_{role}_defective": int(defective.sum())}
    return sizes

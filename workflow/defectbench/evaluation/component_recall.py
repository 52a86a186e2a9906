"""Metrics of components from the scored tables: components.parquet and froc.parquet."""

import numpy as np
import pandas as pd

from defectbench.config.score import ScoreSettings
from defectbench.evaluation.component_records import PREDICTION, TRUTH
from defectbench.evaluation.policies import CALIBRATED
from defectbench.metrics.component_metrics import RECALL_AT_FP, ComponentCounts
from defectbench.metrics.component_sweep import recall_at_fp


def fragmentation(components: pd.DataFrame) -> float | None:
    """Share of true components that disappear into others when all grow by 2 px; None if no component is true.

    ``components`` are the rows of one class, val and test together. Measured: 0.23 for the cracks of
    CRACK500, 0.03 to 0.07 for Severstal's classes, up to 0.14 for NEU-Seg's.
    """
    true = components[(components["side"] == TRUTH) & (components["policy"] == CALIBRATED)]
    if true.empty:
        return None
    return 1 - len(true.drop_duplicates(["role", "image_id", "cluster"])) / len(true)


def is_countable(fragmented: float | None, settings: ScoreSettings) -> bool:
    """Whether components of a class of this fragmentation can be counted one by one."""
    if settings.component_recall == "auto":
        return fragmented is not None and fragmented < settings.fragmented_from
    return settings.component_recall == "always"


def count_components(components: pd.DataFrame, n_images: int) -> ComponentCounts:
    """Count the rows of one role, class and policy.

    ``n_images`` counts all images of the role, also those without any component.
    """
    is_predicted = components["side"] == PREDICTION
    return ComponentCounts(
        predicted=int(is_predicted.sum()),
        true=int((components["side"] == TRUTH).sum()),
        found=int((components.loc[is_predicted, "match"] >= 0).sum()),
        n_images=n_images,
    )


def recalls(predicted: np.ndarray, found: np.ndarray, n_truth: int, n_images: int) -> dict[str, float | None]:
    """The ``recall_at_fp_*`` of one role and class; None if no component is true.

    ``predicted`` and ``found`` (T, S) are the sums of :func:`sweep_components` over all ``n_images`` of the role.
    """
    return {name: recall_at_fp(predicted, found, n_truth, n_images, of.at_most) for name, of in RECALL_AT_FP.items()}

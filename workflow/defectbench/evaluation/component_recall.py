"""Recall of components at fixed numbers of false ones per image, from components.parquet."""

import pandas as pd

from defectbench.config.score import ScoreSettings
from defectbench.evaluation.component_records import PREDICTION, TRUTH
from defectbench.evaluation.policies import CALIBRATED
from defectbench.metrics.definitions import RECALL_AT_FP
from defectbench.metrics.froc import recall_at_fp


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


def recalls(components: pd.DataFrame, n_images: int) -> dict[str, float | None]:
    """The ``recall_at_fp_*`` of the rows of one role, class and policy; None if no component is true.

    ``n_images`` counts all images of the role, also those without any component.
    """
    predicted = components[components["side"] == PREDICTION]
    scores, hit = predicted["score"].to_numpy("int64"), predicted["match"].to_numpy() >= 0
    n_truth = int((components["side"] == TRUTH).sum())
    return {name: recall_at_fp(scores, hit, n_truth, n_images, metric.at_most) for name, metric in RECALL_AT_FP.items()}

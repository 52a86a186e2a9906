"""Names of all metrics that are computed for each role and policy, as metrics.json and results.csv have them."""

from collections.abc import Sequence

from defectbench.metrics.component_metrics import COMPONENT_METRICS
from defectbench.metrics.definition import Definition
from defectbench.metrics.definitions import KAGGLE, METRICS
from defectbench.metrics.shape_metrics import SHAPE_METRICS

DEFINITIONS: dict[str, Definition] = {**METRICS, **KAGGLE, **COMPONENT_METRICS, **SHAPE_METRICS}
"""All metrics computed for each role and policy, by their names without prefix and suffix, in the order of columns."""

# Suffixes of a metric's name: none (calibrated; p = 0.5 of zero-shot methods), at p = 0.5, with post-processing,
# calibrated where the unsuffixed name is not, and by the threshold and smallest area that the study imposes.
SUFFIXES = ("", "_at_0.5", "_pp", "_calibrated", "_imposed")


def full_name(metric: str, role: str, suffix: str = "") -> str:
    """Name in metrics.json and the results: ``val_`` before every val metric, ``test_`` before mIoU and Dice only."""
    prefix = "val_" if role == "val" else "test_" if metric in ("mIoU", "Dice") else ""
    return f"{prefix}{metric}{suffix}"


def all_names(role: str, suffixes: Sequence[str] = SUFFIXES) -> list[str]:
    """Full names of all metrics of a role that are computed for each policy."""
    return [full_name(metric, role, suffix) for suffix in suffixes for metric in DEFINITIONS]

"""All metrics of one class, or of the merged masks, from the scored tables."""

from typing import Any

import numpy as np
import pandas as pd

from defectbench.config.score import ScoreSettings
from defectbench.evaluation.by_size import by_size
from defectbench.evaluation.component_recall import fragmentation, is_countable, recalls
from defectbench.evaluation.invariants import check_metrics, check_shapes
from defectbench.evaluation.scoring import Scores
from defectbench.evaluation.shapes import BOUNDARY, SKELETON
from defectbench.metrics.definitions import METRICS, RECALL_AT_FP, ImageCounts, boundary_f1, cldice, full_name
from defectbench.metrics.histograms import average_precision
from defectbench.metrics.hits import Hits

ROLES = ("test", "val")

Key = tuple[str, str, str]
"""(role, class, policy)"""
Suffixes = list[tuple[str, str]]
"""(policy, suffix of its metrics' names)"""


class Records:
    """The scored tables by role, class and policy."""

    def __init__(self, scores: Scores) -> None:
        """Take apart the rows of ``scores``."""
        per_image = scores.per_image.to_pandas()
        self.names = per_image["class"].unique().tolist()
        self.test_ids = per_image.loc[per_image["role"] == "test", "image_id"].unique().tolist()
        groups = dict(iter(per_image.groupby(["role", "class", "policy"], sort=False)))
        columns = ("tp", "fp", "fn", "n_pixels")
        self.counts: dict[Key, ImageCounts] = {
            key: ImageCounts(*_columns(rows, columns)) for key, rows in groups.items()
        }
        self.boundaries: dict[Key, Hits] = {key: Hits(*_columns(rows, BOUNDARY)) for key, rows in groups.items()}
        self.skeletons: dict[Key, Hits] = {key: Hits(*_columns(rows, SKELETON)) for key, rows in groups.items()}
        self.components = scores.components.to_pandas(strings_to_categorical=True)
        self._components = dict(iter(self.components.groupby(["role", "class", "policy"], observed=True)))
        self._pooled = scores.pooled.to_pandas()

    def components_of(self, key: Key) -> pd.DataFrame:
        """Rows of components.parquet; none if no image has a component."""
        return self._components.get(key, self.components.iloc[:0])

    def histogram(self, role: str, name: str) -> np.ndarray:
        """Pooled histogram (2, K) of ascending codes, negative and positive pixels."""
        rows = self._pooled[(self._pooled["role"] == role) & (self._pooled["class"] == name)].sort_values("code")
        return rows[["negative", "positive"]].to_numpy(np.int64).T


def class_metrics(
    records: Records, name: str, has_scores: bool, suffixes: Suffixes, settings: ScoreSettings
) -> dict[str, Any]:
    """All metrics of class ``name`` over both roles and the policies of ``suffixes``, by their full names."""
    fragmented = fragmentation(records.components[records.components["class"] == name])
    countable = has_scores and is_countable(fragmented, settings)
    metrics: dict[str, Any] = {"truth_fragmentation": fragmented}
    for role in ROLES:
        for policy, suffix in suffixes:
            values = _values(records, (role, name, policy), countable)
            metrics |= {full_name(metric, role, suffix): value for metric, value in values.items()}
        histogram = records.histogram(role, name)
        n_pixels = int(histogram.sum())
        metrics[full_name("AUPRC", role)] = average_precision(histogram) if has_scores else None
        metrics[full_name("prevalence", role)] = int(histogram[1].sum()) / n_pixels
        metrics[full_name("n_pixels", role)] = n_pixels
    return metrics | {"by_size": by_size(records.counts["test", name, suffixes[0][0]])}


def _values(records: Records, key: Key, countable: bool) -> dict[str, float | None]:
    """Every metric of one role, class and policy, checked against the others."""
    images = records.counts[key]
    values = {metric: function(images) for metric, function in METRICS.items()}
    values |= recalls(records.components_of(key), len(images.tp)) if countable else dict.fromkeys(RECALL_AT_FP)
    values |= {"boundary_f1": boundary_f1(records.boundaries[key]), "cldice": cldice(records.skeletons[key])}
    where = ", ".join(key)
    check_metrics(values, images, where)
    check_shapes(values, where)
    return values


def _columns(rows: pd.DataFrame, names: tuple[str, ...]) -> list[np.ndarray]:
    return [rows[name].to_numpy(np.int64) for name in names]

"""Metrics of one class, or of the merged masks, from the scored tables."""

from typing import Any

import numpy as np
import pandas as pd

from defectbench.config.score import ScoreSettings
from defectbench.evaluation.by_size import by_size
from defectbench.evaluation.component_recall import fragmentation, is_countable, recalls
from defectbench.evaluation.invariants import check_metrics, check_shapes
from defectbench.evaluation.scoring import Scores
from defectbench.metrics.definitions import METRICS, RECALL_AT_FP, ImageCounts
from defectbench.metrics.histograms import average_precision
from defectbench.metrics.names import full_name
from defectbench.metrics.shape_metrics import SHAPE_METRICS

ROLES = ("test", "val")

Key = tuple[str, str, str]
"""(role, class, policy)"""
Suffixes = list[tuple[str, str]]
"""(policy, suffix of its metrics' names)"""


class Records:
    """The scored tables by role, class and policy."""

    def __init__(self, scores: Scores) -> None:
        """Group the rows of ``scores``."""
        per_image = scores.per_image.to_pandas()
        self.names = per_image["class"].unique().tolist()
        self.test_ids = per_image.loc[per_image["role"] == "test", "image_id"].unique().tolist()
        groups = dict(iter(per_image.groupby(["role", "class", "policy"], sort=False)))
        columns = ("tp", "fp", "fn", "n_pixels")
        self.counts: dict[Key, ImageCounts] = {
            key: ImageCounts(*(rows[name].to_numpy(np.int64) for name in columns)) for key, rows in groups.items()
        }
        self.shapes = {
            name: {key: [rows[column].to_numpy() for column in metric.columns] for key, rows in groups.items()}
            for name, metric in SHAPE_METRICS.items()
        }
        """Columns of each of SHAPE_METRICS, each (N,)."""
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
    values = {name: metric(images) for name, metric in METRICS.items()}
    values |= recalls(records.components_of(key), len(images.tp)) if countable else dict.fromkeys(RECALL_AT_FP)
    values |= {name: metric(records.shapes[name][key]) for name, metric in SHAPE_METRICS.items()}
    where = ", ".join(key)
    check_metrics(values, images, where)
    check_shapes(values, where)
    return values

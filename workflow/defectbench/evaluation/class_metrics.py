"""Metrics of one class, or of the merged masks, from the scored tables."""

from typing import Any

import numpy as np
import pandas as pd

from defectbench.config.score import ScoreSettings
from defectbench.evaluation.by_size import by_size
from defectbench.evaluation.component_recall import count_components, fragmentation, is_countable, recalls
from defectbench.evaluation.component_records import TRUTH
from defectbench.evaluation.invariants import check_metrics, check_recalls, check_shapes
from defectbench.evaluation.policies import CALIBRATED
from defectbench.evaluation.scoring import Scores
from defectbench.metrics.component_metrics import COMPONENT_METRICS, RECALL_AT_FP
from defectbench.metrics.component_sweep import CUTS, THRESHOLDS
from defectbench.metrics.definitions import METRICS
from defectbench.metrics.histograms import average_precision
from defectbench.metrics.image_counts import ImageCounts
from defectbench.metrics.image_level import (
    IMAGE_RANKING,
    OPERATING_RATES,
    ImageScores,
    image_ap,
    image_auroc,
    operating_rates,
)
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
        self._froc = scores.froc.to_pandas()
        self._max_codes = {key: rows["max_code"].to_numpy(np.int64) for key, rows in groups.items()}

    def components_of(self, key: Key) -> pd.DataFrame:
        """Rows of components.parquet; none if no image has a component."""
        return self._components.get(key, self.components.iloc[:0])

    def histogram(self, role: str, name: str) -> np.ndarray:
        """Pooled histogram (2, K) of ascending codes, negative and positive pixels."""
        rows = self._pooled[(self._pooled["role"] == role) & (self._pooled["class"] == name)].sort_values("code")
        return rows[["negative", "positive"]].to_numpy(np.int64).T

    def swept_components(self, role: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Predicted and found components of all images by threshold and score, both (T, S)."""
        rows = self._froc[(self._froc["role"] == role) & (self._froc["class"] == name)]
        cells = np.searchsorted(THRESHOLDS, rows["threshold"]), np.searchsorted(CUTS, rows["score"])
        predicted, found = np.zeros((2, len(THRESHOLDS), len(CUTS)), np.int64)
        predicted[cells], found[cells] = rows["predicted"], rows["found"]
        return predicted, found

    def image_scores(self, role: str, name: str) -> ImageScores:
        """Defect scores of the images, and which are defective."""
        key = role, name, CALIBRATED
        return ImageScores(self._max_codes[key], self.counts[key].defective)


def class_metrics(
    records: Records, name: str, has_scores: bool, suffixes: Suffixes, settings: ScoreSettings
) -> dict[str, Any]:
    """All metrics of class ``name`` over both roles and the policies of ``suffixes``, by their full names."""
    fragmented = fragmentation(records.components[records.components["class"] == name])
    countable = is_countable(fragmented, settings)
    images = {role: records.image_scores(role, name) for role in ROLES}
    metrics: dict[str, Any] = {"truth_fragmentation": fragmented}
    metrics |= operating_rates(images["val"], images["test"]) if has_scores else dict.fromkeys(OPERATING_RATES)
    for role in ROLES:
        for policy, suffix in suffixes:
            values = _values(records, (role, name, policy), countable)
            metrics |= {full_name(metric, role, suffix): value for metric, value in values.items()}
        histogram = records.histogram(role, name)
        n_pixels = int(histogram.sum())
        metrics[full_name("AUPRC", role)] = average_precision(histogram) if has_scores else None
        over_thresholds = dict.fromkeys([*IMAGE_RANKING, *RECALL_AT_FP])
        if has_scores:
            over_thresholds |= {"image_auroc": image_auroc(images[role]), "image_ap": image_ap(images[role])}
            over_thresholds |= _recalls(records, role, name) if countable else {}
        metrics |= {full_name(metric, role): value for metric, value in over_thresholds.items()}
        metrics[full_name("prevalence", role)] = int(histogram[1].sum()) / n_pixels
        metrics[full_name("n_pixels", role)] = n_pixels
    return metrics | {"by_size": by_size(records.counts["test", name, suffixes[0][0]])}


def _recalls(records: Records, role: str, name: str) -> dict[str, float | None]:
    n_truth = int((records.components_of((role, name, CALIBRATED))["side"] == TRUTH).sum())
    values = recalls(*records.swept_components(role, name), n_truth, len(records.counts[role, name, CALIBRATED].tp))
    check_recalls(values, f"{role}, {name}")
    return values


def _values(records: Records, key: Key, countable: bool) -> dict[str, float | None]:
    """Every metric of one role, class and policy, checked against the others."""
    images = records.counts[key]
    values = {name: metric(images) for name, metric in METRICS.items()}
    components = count_components(records.components_of(key), len(images.tp))
    values |= {name: metric(components) if countable else None for name, metric in COMPONENT_METRICS.items()}
    values |= {name: metric(records.shapes[name][key]) for name, metric in SHAPE_METRICS.items()}
    where = ", ".join(key)
    check_metrics(values, images, where)
    check_shapes(values, where)
    return values

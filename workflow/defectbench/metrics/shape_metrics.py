"""Metrics of shapes with their own records per image; a new one is a row of SHAPE_METRICS."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from defectbench.metrics.definition import DEFECTIVE_IMAGES, SHARE, Metric
from defectbench.metrics.hits import Hits, count_hits
from defectbench.metrics.shape import Shape

Counter = Callable[[Shape, Shape], Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class ShapeMetric(Metric[Sequence[np.ndarray]]):
    """A metric computed from the records of N images, columns (N,) of per_image.parquet."""

    columns: tuple[str, ...]
    count: Counter
    """values of the columns for one image, from its predicted and its true shape"""
    dtype: str = "int64"
    """of the columns"""
    at_miou: Mapping[float, float] = field(default_factory=dict)
    """mIoU (0 or 1) -> the value that the metric must have there; such metrics are defined exactly where mIoU is"""


def _hits_metric(prefix: str, points: str, target: str, **definition: Any) -> ShapeMetric:
    """A metric of the points of each side that are in the target of the other; both are properties of a shape."""
    points_of, target_of = attrgetter(points), attrgetter(target)

    def count(prediction: Shape, truth: Shape) -> Hits[int]:
        if prediction.is_empty and truth.is_empty:
            return Hits(0, 0, 0, 0)
        return count_hits(points_of(prediction), target_of(truth), points_of(truth), target_of(prediction))

    return ShapeMetric(
        columns=tuple(f"{prefix}_{name}" for name in Hits._fields),  # boundary_pred, boundary_pred_hit, ...
        count=count,
        compute=mean_hit_score,
        averaging=DEFECTIVE_IMAGES,
        value_range=SHARE,
        null_when="no image is defective",
        **definition,
    )


def mean_hit_score(columns: Sequence[np.ndarray]) -> float | None:
    """Mean of :meth:`Hits.score` over defective images, from the fields of Hits, each (N,); None if there is none."""
    hits = Hits(*columns)
    scores = hits.score()[hits.truth > 0]
    return float(np.mean(scores)) if len(scores) else None


SHAPE_METRICS: dict[str, ShapeMetric] = {
    metric.name: metric
    for metric in (
        _hits_metric(
            "boundary",
            points="boundary",
            target="near_boundary",
            name="boundary_f1",
            formula="2PR/(P + R); P = share of the prediction's boundary pixels within 2 px (Euclidean) of the truth's "
            "boundary, R = share of the truth's within 2 px of the prediction's; 0 if the prediction is empty",
            source="Csurka et al., BMVC 2013; Perazzi et al., CVPR 2016",
            description="Boundary F1: how well the outlines agree.",
            # Not 0 at 0: boundaries within the tolerance of each other need no common pixel.
            at_miou={1: 1},
        ),
        _hits_metric(
            "skeleton",
            points="skeleton",
            target="mask",
            name="cldice",
            formula="2PR/(P + R); P = share of the prediction's skeleton inside the truth, R = share of the truth's "
            "skeleton inside the prediction; 0 if the prediction is empty",
            source="clDice: Shit et al., CVPR 2021; skeletons by Zhang and Suen, Comm. ACM 27, 1984",
            description="Centre-line Dice: whether thin defects are found along their whole length, whatever their "
            "width.",
            at_miou={0: 0, 1: 1},
        ),
    )
}


def count_shapes(prediction: Shape, truth: Shape) -> dict[str, float]:
    """Columns of all SHAPE_METRICS of one row of per_image.parquet."""
    return {
        column: value
        for metric in SHAPE_METRICS.values()
        for column, value in zip(metric.columns, metric.count(prediction, truth), strict=True)
    }

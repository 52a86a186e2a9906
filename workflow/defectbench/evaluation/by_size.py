"""Metrics by the size of the defects."""

from typing import Any

import numpy as np

from defectbench.metrics.definitions import METRICS
from defectbench.metrics.image_counts import ImageCounts

METRICS_BY_SIZE = ("mIoU", "Dice", "Recall")


def by_size(images: ImageCounts) -> dict[str, Any]:
    """Metrics of the defective images of ``images`` in quartiles of their true area.

    ``edges`` are the five areas in pixels that bound the quartiles: smallest, quartiles, largest, all of them areas of
    images (inverse of the empirical distribution). An image at an edge belongs to the lower quartile, so images of
    equal area are never separated, and a quartile may be empty. ``edges`` and ``quartiles`` are empty if no image is
    defective.
    """
    images = _select(images, images.defective)
    areas = images.tp + images.fn
    if not len(areas):
        return {"edges": [], "quartiles": []}
    edges = np.quantile(areas, (0, 0.25, 0.5, 0.75, 1), method="inverted_cdf")
    quartile = np.searchsorted(edges[1:4], areas, side="left")
    parts = [_select(images, quartile == q) for q in range(4)]
    return {
        "edges": edges.astype(int).tolist(),
        "quartiles": [{"n": len(part.tp), **{name: METRICS[name](part) for name in METRICS_BY_SIZE}} for part in parts],
    }


def _select(images: ImageCounts, selected: np.ndarray) -> ImageCounts:
    return ImageCounts(images.tp[selected], images.fp[selected], images.fn[selected], images.n_pixels[selected])

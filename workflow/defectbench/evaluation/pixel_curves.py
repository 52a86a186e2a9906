"""Intervals of what is computed from precision and recall of pixels at all thresholds: percentiles of a bootstrap.

The images' histograms have the 256 threshold bins alone, the pooled one every distinct score. So an interval is that of
the coarse value, moved by the difference between both values.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from defectbench.config.base import MERGED
from defectbench.evaluation.intervals import TAILS, GroupBootstrap
from defectbench.metrics.codes import N_BINS
from defectbench.metrics.histograms import average_precision

FEWEST_GROUPS = 60
"""With fewer, percentiles cover too rarely, and there is no interval."""


def read_image_histograms(folder: Path) -> tuple[list[str], np.ndarray]:
    """Ids of the N test images of the experiment in ``folder``, and histograms (N, 2, 256) int64 of their merged maps.

    The histograms count negative and positive pixels per threshold bin.
    """
    table = pq.read_table(folder / "hist.parquet", filters=[("role", "==", "test"), ("class", "==", MERGED)])
    sides = [
        pc.list_flatten(table[name]).to_numpy().reshape(len(table), N_BINS).astype(np.int64)
        for name in ("negative", "positive")
    ]
    return table["image_id"].to_pylist(), np.stack(sides, axis=1)


def average_precisions(histograms: np.ndarray) -> np.ndarray:
    """Average precision (M,) of histograms (M, 2, K) of ascending scores; NaN if no pixel is positive."""
    return np.array([average_precision(histogram) for histogram in histograms], dtype=float)


def percentile_interval(
    histograms: np.ndarray, bootstrap: GroupBootstrap, curve: Callable[[np.ndarray], np.ndarray], exact: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (...,) of ``curve``, a function of pooled histograms (draws, 2, 256) to (draws, ...) in [0, 1].

    ``histograms`` (N, 2, 256) are of the images of ``bootstrap``; ``exact`` (...,) are the values of all images at
    every distinct score. NaN with fewer than FEWEST_GROUPS groups, or where not every draw has a value.
    """
    exact = np.asarray(exact, dtype=float)
    if bootstrap.n_groups < FEWEST_GROUPS:
        return np.full(exact.shape, np.nan), np.full(exact.shape, np.nan)
    order = np.argsort(bootstrap.group_of, kind="stable")
    first = np.searchsorted(bootstrap.group_of[order], np.arange(bootstrap.n_groups))
    flat = histograms.reshape(len(histograms), -1)[order].astype(float)
    sums = np.add.reduceat(flat, first, axis=0)
    drawn = curve((bootstrap.counts @ sums).reshape(-1, *histograms.shape[1:]))
    coarse = curve(histograms.sum(axis=0, dtype=float)[None])[0]
    low, high = np.quantile(drawn, TAILS, axis=0) + exact - coarse
    return np.clip(low, 0, 1), np.clip(high, 0, 1)

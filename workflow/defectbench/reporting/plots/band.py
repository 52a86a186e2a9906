"""Pointwise 95 % bands of curves that are functions of sums over images: a bootstrap of groups."""

import warnings
from collections.abc import Callable

import numpy as np

from defectbench.evaluation.intervals import TAILS, GroupBootstrap

DRAWS, SEED = 500, 42
EXPLANATION = "Bands: pointwise 95 % intervals, percentiles of a bootstrap over groups of test images."


def bootstrap_of(groups: np.ndarray) -> GroupBootstrap:
    """The bootstrap that all curves of a picture share, for the group of each image, (N,)."""
    return GroupBootstrap(groups.astype(str), DRAWS, SEED)


def group_sums(values: np.ndarray, bootstrap: GroupBootstrap) -> np.ndarray:
    """Sums (n_groups, K) over the images of each group of ``values`` (N, K)."""
    sums = np.zeros((bootstrap.n_groups, values.shape[1]))
    np.add.at(sums, bootstrap.group_of, values)
    return sums


def band(
    parts: tuple[np.ndarray, ...], bootstrap: GroupBootstrap, curve: Callable[..., np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (n,) of ``curve``, a function of sums over images to (..., n); ``parts`` are its arguments (N, K) each."""
    resampled = curve(*(bootstrap.counts @ group_sums(part, bootstrap) for part in parts))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")  # the band has no value where no draw has one
        low, high = np.nanquantile(resampled, TAILS, axis=0)
    return low, high

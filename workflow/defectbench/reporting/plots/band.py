"""Pointwise 95 % bands of curves over test images, which come in groups."""

import numpy as np

from defectbench.evaluation.intervals import GroupBootstrap

DRAWS, SEED = 2000, 42
SHARES = "Bands: pointwise 95 % intervals over groups of images, which hold at shares of 0 and 1 too."
RATIOS = "Bands: pointwise 95 % intervals of ratios of totals over groups of images."


def bootstrap_of(groups: np.ndarray) -> GroupBootstrap:
    """The bootstrap that all curves of a picture share, for the group of each image, (N,)."""
    return GroupBootstrap(groups.astype(str), DRAWS, SEED)


def share_band(values: np.ndarray, bootstrap: GroupBootstrap) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (n,) of the means over images of ``values`` (N, n) in [0, 1]."""
    # Neighbouring points of a curve often have the same values.
    columns, place = np.unique(values, axis=1, return_inverse=True)
    bounds = np.array([bootstrap.interval(column, 0, 1) for column in columns.T])
    return bounds[place, 0], bounds[place, 1]


def ratio_band(
    numerators: np.ndarray, denominators: np.ndarray, bootstrap: GroupBootstrap
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (n,) of the ratios, in [0, 1], of the totals over images of both arguments, (N, n)."""
    bounds = np.array([bootstrap.ratio_interval(*pair) for pair in zip(numerators.T, denominators.T, strict=True)])
    return bounds[:, 0], bounds[:, 1]

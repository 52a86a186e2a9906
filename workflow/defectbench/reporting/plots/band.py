"""Pointwise 95 % bands of curves over test images, which come in groups."""

import numpy as np

from defectbench.evaluation.intervals import GroupBootstrap

DRAWS, SEED = 1000, 42
EXPLANATION = "Bands: pointwise 95 % intervals over groups of test images."


def bootstrap_of(groups: np.ndarray) -> GroupBootstrap:
    """The bootstrap that all curves of a picture share, for the group of each image, (N,)."""
    return GroupBootstrap(groups.astype(str), DRAWS, SEED)


def ratio_band(
    numerators: np.ndarray, denominators: np.ndarray, bootstrap: GroupBootstrap
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (n,) of the ratios of the totals over images of both arguments, (N, n), the first parts of the second."""
    pairs = zip(numerators.T, denominators.T, strict=True)
    low, high = np.array([bootstrap.ratio_interval(*pair) for pair in pairs]).T
    return low, high

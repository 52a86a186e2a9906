"""Confidence intervals of means over images."""

import math

import numpy as np

LEVEL = 0.95
_INDICES_AT_ONCE = 2**21


def percentile_intervals(values: np.ndarray, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals of the means of ``values``, (N, M) float: a plain percentile bootstrap over the N images.

    Every column is averaged over the same resampled images, without its NaN entries (images that the metric leaves
    out). Returns the lower and the upper bounds, each (M,); NaN for a column without values.
    B. Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982.
    """
    rng = np.random.default_rng(seed)
    present = ~np.isnan(values)
    filled = np.where(present, values, 0)
    n = len(values)
    means = []
    for chunk in np.array_split(np.arange(draws), math.ceil(draws * n / _INDICES_AT_ONCE)):
        index = rng.integers(n, size=(len(chunk), n))
        counted = present[index].sum(axis=1)
        # A draw may hold no image that the metric counts: it has no mean.
        means.append(
            np.divide(filled[index].sum(axis=1), counted, out=np.full(counted.shape, np.nan), where=counted > 0)
        )
    bounds = np.full((2, values.shape[1]), np.nan)
    usable = present.any(axis=0)
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    bounds[:, usable] = np.nanquantile(np.concatenate(means)[:, usable], tails, axis=0)
    return bounds[0], bounds[1]

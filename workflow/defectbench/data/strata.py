"""Strata: images that show the same classes, in similar amounts."""

import numpy as np
import pandas as pd


def assign_strata(area: np.ndarray) -> np.ndarray:
    """Number of the stratum of each image, (N,) int64, from its defect areas, (N, C) in pixels.

    A stratum is a combination of classes and, within it, a third of the images by total defect area.
    """
    combination = (area > 0) @ (1 << np.arange(area.shape[1], dtype=np.int64))
    by_combination = pd.Series(area.sum(axis=1)).groupby(combination)
    # Images of equal area, such as the clean ones, share a rank and so a third.
    rank, count = by_combination.rank(), by_combination.transform("size")
    third = (3 * (rank - 0.5) / count).astype(np.int64)
    return pd.factorize(combination * 3 + third.to_numpy(), sort=True)[0]

"""Nested subsets of the training images, for studies of data efficiency."""

from typing import Literal

import numpy as np
import pandas as pd

from defectbench.data.manifest import areas
from defectbench.data.strata import assign_strata
from defectbench.script import UserError


class SubsetError(UserError):
    """A subset that cannot be drawn."""


def subset_order(train_frame: pd.DataFrame, seed: int) -> np.ndarray:
    """Ids of the rows of ``train_frame``, part of a manifest's frame, in the order in which subsets take them.

    Every prefix is nearly stratified: it has its share of each stratum (classes shown x third of defect area) to within
    an image, of the commonest to within a few.
    """
    train_frame = train_frame.sort_values("image_id")
    random = np.random.default_rng(seed)
    shuffled = random.permutation(len(train_frame))
    stratum = pd.Series(assign_strata(areas(train_frame))[shuffled])
    place = stratum.groupby(stratum).cumcount().to_numpy()
    # The i-th of n images of a stratum is at (i + u) / n of the order, u drawn once per stratum.
    offset = random.random(stratum.nunique())[stratum]
    key = (place + offset) / np.bincount(stratum)[stratum]
    return train_frame["image_id"].to_numpy()[shuffled[np.argsort(key, kind="stable")]]


def make_subset(frame: pd.DataFrame, split: pd.DataFrame, n: int | Literal["full"], seed: int) -> pd.DataFrame:
    """The first ``n`` images of :func:`subset_order` over the train images of ``split``, or all of them.

    Returns the column image_id. The subset of 100 is inside that of 200 with the same seed.

    Raises:
        SubsetError: if there are fewer than ``n`` train images.
    """
    train = frame[frame["image_id"].isin(split.loc[split["role"] == "train", "image_id"])]
    order = subset_order(train, seed)
    if n != "full" and n > len(order):
        raise SubsetError(
            f"a subset of {n} images was requested, but train has {len(order)}: lower experiments.subset, or set 'full'"
        )
    return pd.DataFrame({"image_id": order if n == "full" else order[:n]})

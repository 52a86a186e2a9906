"""Cross-validation: the images that the model of each fold trains on, stops early by, and predicts.

The model of fold k is trained on the other folds. A part of them, the inner val images, is used for early stopping
only: the held-out fold takes no part in the training, not even in the choice of the checkpoint.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from defectbench.data.preview import preview_names
from defectbench.data.splits import COLUMNS, SplitError, stratified_roles
from defectbench.data.subsets import subset_order


class FoldSplit(NamedTuple):
    """The images of one fold."""

    training: pd.DataFrame
    """image_id, role, group: train, and val for the inner val images; no others"""
    subset: pd.DataFrame
    """image_id of the train images, in the order of subsets"""
    prediction: pd.DataFrame
    """image_id, role, group: val for the images of the fold itself, test for those of the split"""


def make_fold_split(
    frame: pd.DataFrame, split: pd.DataFrame, folds: pd.DataFrame, fold: int, inner_val: float, seed: int
) -> FoldSplit:
    """Split the images for the model of ``fold``.

    ``frame`` is of the manifest (image_id, area), ``split`` has image_id, role, group, ``folds`` image_id, fold, group.
    ``inner_val`` is the share, above 0 and below 1, of the other folds' images that become inner val images: whole
    groups, stratified as the split, drawn with ``seed``.

    Raises:
        SplitError: if there is no such fold, or the train or the inner val images would have no group or no defect.
    """
    if fold not in set(folds["fold"]):
        raise SplitError(f"there is no fold {fold}: folds.csv has {folds['fold'].nunique()} folds")
    held_out = folds[folds["fold"] == fold]
    rest = frame[["image_id", "area"]].merge(folds.loc[folds["fold"] != fold, ["image_id", "group"]], on="image_id")
    rest["role"] = stratified_roles(rest, {"train": 1 - inner_val, "val": inner_val}, seed)
    has_defect = np.array([area.sum() > 0 for area in map(np.asarray, rest["area"])])
    for role in ("train", "val"):
        if not has_defect[rest["role"] == role].any():
            raise SplitError(
                f"fold {fold}: the {role} images inside the other folds would have no defect: change split.inner_val "
                f"or lower split.n_folds ({len(rest)} images in {rest['group'].nunique()} groups)"
            )
    check_unseen(rest, held_out)
    train = frame[frame["image_id"].isin(rest.loc[rest["role"] == "train", "image_id"])]
    prediction = [held_out.assign(role="val")[COLUMNS], split.loc[split["role"] == "test", COLUMNS]]
    return FoldSplit(
        training=rest[COLUMNS],
        subset=pd.DataFrame({"image_id": subset_order(train, seed)}),
        prediction=pd.concat(prediction, ignore_index=True),
    )


def make_oof_split(split: pd.DataFrame) -> pd.DataFrame:
    """Split of out-of-fold predictions: every train and val image is a val image."""
    return split.assign(role=split["role"].where(split["role"] == "test", "val"))


def check_unseen(seen: pd.DataFrame, predicted: pd.DataFrame) -> None:
    """Refuse predictions by a model that was trained on the image, or on another of its group.

    Both have columns image_id and group; ``seen`` are the images that training read, for any purpose.

    Raises:
        SplitError: naming the images.
    """
    by_id = predicted["image_id"].isin(seen["image_id"])
    by_group = predicted["group"].isin(seen["group"])
    leaking = predicted.loc[by_id | by_group, "image_id"]
    if len(leaking):
        raise SplitError(
            f"out-of-fold predictions would come from a model that saw the image or its group: {preview_names(leaking)}"
        )

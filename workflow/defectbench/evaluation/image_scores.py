"""Scores of every test image, the input of the statistics, and the primary metric of each track."""

from pathlib import Path

import numpy as np
import pandas as pd

from defectbench.config.base import MERGED
from defectbench.metrics.image_counts import ImageCounts
from defectbench.script import UserError

# Track -> its primary metric, which it is ranked and tested by.
PRIMARY = {"automatic": "dice_all", "oracle": "test_Dice", "reference": "dice_all"}
METRICS = ("dice_all", "test_Dice", "test_mIoU")


class ScoresError(UserError):
    """Scores per image that are missing or do not match."""


def read_image_scores(folder: Path, policy: str, role: str = "test") -> pd.DataFrame:
    """Scores of the images of ``role`` of the experiment in ``folder``, in the order of their ids.

    Columns image_id, group and METRICS, each in [0, 1]; NaN where a metric leaves an image out. Their means are the
    metrics of the same names. ``policy`` is the policy of unsuffixed names in metrics.json.

    Raises:
        ScoresError: if the experiment has no per_image.parquet, or it has no rows of this policy.
    """
    rows = read_image_rows(folder, policy, role)
    images = image_counts(rows)
    dice, iou = images.dice(), images.iou()
    on_defective = [np.where(images.defective, values, np.nan) for values in (dice, iou)]
    return rows[["image_id", "group"]].assign(**dict(zip(METRICS, (dice, *on_defective), strict=True)))


def read_image_rows(folder: Path, policy: str, role: str = "test") -> pd.DataFrame:
    """Rows of per_image.parquet of the merged masks of the images of ``role`` by ``policy``, in the order of their ids.

    Raises:
        ScoresError: as of :func:`read_image_scores`.
    """
    path = folder / "per_image.parquet"
    try:
        rows = pd.read_parquet(path, filters=[("role", "==", role), ("class", "==", MERGED), ("policy", "==", policy)])
    except FileNotFoundError:
        raise ScoresError(f"{path}: no such file; is the experiment finished?") from None
    if rows.empty:
        raise ScoresError(f"{path}: no {role} images with policy {policy!r}: score again")
    return rows.sort_values("image_id", ignore_index=True)


def image_counts(rows: pd.DataFrame) -> ImageCounts:
    """The counts in ``rows`` of per_image.parquet."""
    return ImageCounts(*(rows[name].to_numpy(np.int64) for name in ("tp", "fp", "fn", "n_pixels")))

"""Test images of the gallery: selected by rule, and read with their true and predicted masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from defectbench.config.base import MERGED
from defectbench.data.packing import ImagePack, MaskPack
from defectbench.data.stripes import mark_ignored
from defectbench.evaluation import policies
from defectbench.evaluation.calibration import HALF_K, Calibration
from defectbench.metrics.counts import confusion, dice, iou
from defectbench.reporting.image_choice import read_maps
from defectbench.reporting.masks import mask_dice, union_of_classes
from defectbench.script import UserError


class GalleryError(UserError):
    """Inconsistent files of an experiment."""


@dataclass(frozen=True)
class Choice:
    """A test image, the reason why it is shown, and its pixel counts by the policy of unsuffixed metrics."""

    image_id: str
    reason: str
    dice: float
    tp: int
    fp: int
    fn: int

    @property
    def caption(self) -> str:
        """The text above the pictures."""
        counts = f"{self.tp:,} pixels hit, {self.fp:,} false alarm, {self.fn:,} missed"
        return f"Dice {self.dice:.3f}, {self.reason}: {counts}"


@dataclass(frozen=True)
class Sample:
    """A selected image with its true masks (C, H, W) and the predicted masks (H, W), all bool.

    Ignored pixels are striped in the image, and in no mask.
    """

    choice: Choice
    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    post_processed: np.ndarray | None
    """None if post-processing was not tried, or none was chosen"""

    @property
    def caption(self) -> str:
        """The text above the pictures."""
        if self.post_processed is None:
            return self.choice.caption
        value = mask_dice(union_of_classes(self.truth), self.post_processed)
        return f"{self.choice.caption}; post-processed: Dice {value:.3f}"


def select_by_rank(per_image: pd.DataFrame, n: int) -> list[Choice]:
    """Select ``n`` of the rows of per_image.parquet (test, merged, one policy), by rule and not by eye.

    Defective images at evenly spaced ranks of Dice, from the best to the worst; instead of one of them the clean
    image with the largest false alarm, if any has one.
    """
    rows = per_image.assign(dice=dice(*(per_image[name].to_numpy() for name in ("tp", "fp", "fn"))))
    defective = rows[rows["n_truth"] > 0].sort_values(["dice", "image_id"], ascending=[False, True])
    clean = rows[rows["n_truth"] == 0]
    alarms = clean[clean["fp"] > 0].sort_values(["fp", "image_id"], ascending=[False, True]).head(1 if n > 1 else 0)
    ranks = np.unique(np.linspace(0, len(defective) - 1, min(n - len(alarms), len(defective))).round().astype(int))
    at_ranks = defective.iloc[ranks]
    reasons = [f"rank {rank + 1} of {len(defective)} defective images" for rank in ranks]
    reasons += [f"largest false alarm on {len(clean)} clean images"] * len(alarms)
    return [
        Choice(row["image_id"], reason, row["dice"], row["tp"], row["fp"], row["fn"])
        for row, reason in zip(pd.concat([at_ranks, alarms]).to_dict("records"), reasons, strict=True)
    ]


def select_by_band(per_image: pd.DataFrame, bands: Sequence[tuple[float, float]], n: int) -> dict[str, list[Choice]]:
    """Name of each band -> the images selected from it, possibly none; ``n`` in total but at least one of each band.

    ``per_image`` is as for :func:`select_by_rank`. A band (lowest, highest IoU, both included) is represented by
    defective images at evenly spaced ranks, best first.
    """
    counts = [per_image[name].to_numpy() for name in ("tp", "fp", "fn")]
    rows = per_image.assign(iou=iou(*counts), dice=dice(*counts))
    defective = rows[rows["n_truth"] > 0].sort_values(["iou", "image_id"], ascending=[False, True])
    by_band = {}
    for low, high in bands:
        inside = defective[defective["iou"].between(low, high)]
        name = f"IoU {low:g} to {high:g}: {len(inside)} of {len(defective)} defective images"
        n_images = min(max(1, n // len(bands)), len(inside))
        at_ranks = inside.iloc[np.unique(np.linspace(0, len(inside) - 1, n_images).round().astype(int))]
        by_band[name] = [
            Choice(row["image_id"], f"IoU {row['iou']:.3f}", row["dice"], row["tp"], row["fp"], row["fn"])
            for row in at_ranks.to_dict("records")
        ]
    return by_band


def read_counts(folder: Path, policy: str) -> pd.DataFrame:
    """An experiment's counts per test image: merged masks by ``policy``."""
    conditions = [("role", "==", "test"), ("class", "==", MERGED), ("policy", "==", policy)]
    return pd.read_parquet(folder / "per_image.parquet", filters=conditions)


def is_post_processed(calibration: Calibration, policy: str) -> bool:
    """Whether the chosen post-processing makes other masks than ``policy``."""
    plain = dict.fromkeys(calibration.thresholds, HALF_K) if policy == policies.AT_HALF else calibration.thresholds
    pipelines = {name: calibration.pipeline(name) for name in calibration.post_processed}
    return any(steps.n_steps or k != plain[name] for name, (k, steps) in pipelines.items())


def read_samples(
    folder: Path, pack: Path, choices: Sequence[Choice], calibration: Calibration, policy: str
) -> list[Sample]:
    """Read images, true masks and an experiment's masks by ``policy``, and the post-processed ones if they differ.

    The merged mask is the union of the class masks.

    Raises:
        GalleryError: if an image was not predicted, or the masks have other counts than ``choices``.
    """
    images, true_masks = ImagePack(pack), MaskPack(pack)
    maps = read_maps(folder / "test.pred.parquet", {choice.image_id for choice in choices})
    with_post_processed = is_post_processed(calibration, policy)
    samples = []
    for choice in choices:
        if choice.image_id not in maps:
            raise GalleryError(f"{folder}: no prediction of {choice.image_id}: predict again")
        image, truth = images[choice.image_id], true_masks[choice.image_id].astype(bool)
        ignored = true_masks.ignored(choice.image_id)
        by_policy = policies.masks(maps[choice.image_id], calibration, image, ignored)
        prediction = union_of_classes(by_policy[policy])
        if confusion(union_of_classes(truth), prediction) != (choice.tp, choice.fp, choice.fn):
            raise GalleryError(f"{folder}: per_image.parquet has other counts of {choice.image_id}: score again")
        post_processed = union_of_classes(by_policy[policies.POST_PROCESSED]) if with_post_processed else None
        samples.append(Sample(choice, mark_ignored(image, ignored), truth, prediction, post_processed))
    return samples

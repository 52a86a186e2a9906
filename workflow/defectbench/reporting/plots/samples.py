"""Which test images the gallery shows: chosen by rule, and read with their true and predicted masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from defectbench.data.packing import ImagePack, MaskPack
from defectbench.files import read_json
from defectbench.inference.prediction_file import MERGED, PredictionFile
from defectbench.metrics.codes import threshold_code
from defectbench.metrics.counts import confusion, dice
from defectbench.script import UserError


class GalleryError(UserError):
    """Files of an experiment that do not belong together."""


@dataclass(frozen=True)
class Choice:
    """A test image, why it is shown, and its pixel counts at the calibrated threshold."""

    image_id: str
    reason: str
    dice: float
    tp: int
    fp: int
    fn: int

    @property
    def caption(self) -> str:
        """What is written above the pictures."""
        counts = f"{self.tp:,} pixels hit, {self.fp:,} false alarm, {self.fn:,} missed"
        return f"Dice {self.dice:.3f}, {self.reason}: {counts}"


@dataclass(frozen=True)
class Sample:
    """A chosen image with its true masks (C, H, W) and the predicted mask (H, W), both bool."""

    choice: Choice
    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


def choose_images(per_image: pd.DataFrame, n: int) -> list[Choice]:
    """Choose ``n`` of the rows of per_image.parquet (test, merged, calibrated), by rule and not by eye.

    Defective images at evenly spaced ranks of Dice, from the best to the worst; instead of one of them the clean
    image with the largest false alarm, if any has one.
    """
    rows = per_image.assign(dice=dice(*(per_image[name].to_numpy() for name in ("tp", "fp", "fn"))))
    defective = rows[rows["n_truth"] > 0].sort_values(["dice", "image_id"], ascending=[False, True])
    clean = rows[rows["n_truth"] == 0]
    alarms = clean[clean["fp"] > 0].sort_values(["fp", "image_id"], ascending=[False, True]).head(1 if n > 1 else 0)
    ranks = np.unique(np.linspace(0, len(defective) - 1, min(n - len(alarms), len(defective))).round().astype(int))
    chosen = defective.iloc[ranks]
    reasons = [f"rank {rank + 1} of {len(defective)} defective images" for rank in ranks]
    reasons += [f"largest false alarm on {len(clean)} clean images"] * len(alarms)
    return [
        Choice(row["image_id"], reason, row["dice"], row["tp"], row["fp"], row["fn"])
        for row, reason in zip(pd.concat([chosen, alarms]).to_dict("records"), reasons, strict=True)
    ]


def read_counts(folder: Path) -> pd.DataFrame:
    """An experiment's counts per test image: merged masks at the calibrated threshold."""
    conditions = [("role", "==", "test"), ("class", "==", MERGED), ("policy", "==", "calibrated")]
    return pd.read_parquet(folder / "per_image.parquet", filters=conditions)


def read_samples(folder: Path, pack: Path, choices: Sequence[Choice]) -> list[Sample]:
    """Read images, true masks and an experiment's masks; the merged mask is the union of the class masks.

    Raises:
        GalleryError: if the masks do not give the counts of ``choices``.
    """
    images, masks = ImagePack(pack), MaskPack(pack)
    predictions = _predicted_masks(folder, {choice.image_id for choice in choices})
    samples = []
    for choice in choices:
        truth, prediction = masks[choice.image_id].astype(bool), predictions[choice.image_id]
        if confusion(truth.any(axis=0), prediction) != (choice.tp, choice.fp, choice.fn):
            raise GalleryError(f"{folder}: per_image.parquet has other counts of {choice.image_id}: score anew")
        samples.append(Sample(choice, images[choice.image_id], truth, prediction))
    return samples


def _predicted_masks(folder: Path, image_ids: set[str]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with PredictionFile(folder / "test.pred.parquet") as file:
        thresholds = read_json(folder / "calibration.json")["thresholds"]
        codes = np.array([threshold_code(thresholds[name]) for name in file.header.classes], dtype=np.uint16)
        for image_id, maps in file:
            if image_id in image_ids:
                found[image_id] = (maps >= codes[:, None, None]).any(axis=0)
            if len(found) == len(image_ids):
                return found
    raise GalleryError(f"{folder}: no prediction of {', '.join(sorted(image_ids - set(found)))}: predict anew")

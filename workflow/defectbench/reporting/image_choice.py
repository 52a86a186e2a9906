"""Choice of test images by rule, and their predicted maps."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from defectbench.inference.prediction_file import decompress

PER_KIND = 3


@dataclass(frozen=True)
class SelectedImage:
    """A test image and the reason why it was selected."""

    image_id: str
    reason: str


def select_images(scores: pd.DataFrame, defective: pd.Series) -> list[SelectedImage]:
    """Select images by rule: best, median and worst by mean Dice, and the ones with the largest spread over models.

    ``scores`` (images x experiments) holds Dice; ``defective`` (images) bool. Only defective images are
    candidates, since any model is right on an easy clean one, and the one clean image that models disagree on most. No
    image is selected twice.
    """
    means = scores[defective].mean(axis=1).dropna()
    order = means.sort_values(ascending=False, kind="stable").index
    # With few images the best would be the worst too.
    n = min(PER_KIND, max(len(order) // 3, 1))
    middle = sorted(range(len(order)), key=lambda rank: abs(rank - (len(order) - 1) / 2))
    kinds = [("best", order[:n], n), ("median", order[middle], n), ("worst", order[::-1][:n], n)]
    if scores.shape[1] > 1:
        spread = scores.std(axis=1).sort_values(ascending=False, kind="stable")
        spread = spread[spread > 0]
        kinds.insert(0, ("models disagree most", spread[defective[spread.index]].index, n))
        kinds.append(("clean, models disagree most", spread[~defective[spread.index]].index, 1))
    reasons: dict[str, str] = {}
    for reason, ids, limit in kinds:
        for image_id in [image_id for image_id in ids if image_id not in reasons][:limit]:
            reasons[image_id] = reason
    return [SelectedImage(image_id, reason) for image_id, reason in reasons.items()]


def read_maps(path: Path, image_ids: set[str]) -> dict[str, np.ndarray]:
    """Codes (C, H, W) of the given images of a prediction file; only the parts of the file that hold them are read."""
    rows = pq.read_table(path, filters=[("image_id", "in", sorted(image_ids))]).to_pylist()
    maps: dict[str, list[np.ndarray]] = {}
    for row in rows:
        maps.setdefault(row["image_id"], []).append(decompress(row["codes"], row["height"], row["width"]))
    return {image_id: np.stack(planes) for image_id, planes in maps.items()}

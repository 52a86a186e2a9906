"""Test images on which the models say most, and every model's masks on them, small enough to stand in the page."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from matplotlib.colors import to_rgb
from PIL import Image

from defectbench.data.packing import ImagePack, MaskPack
from defectbench.evaluation import policies
from defectbench.evaluation.calibration import Calibration
from defectbench.files import read_json
from defectbench.inference.prediction_file import decompress
from defectbench.metrics.boundary import boundary
from defectbench.reporting.plots.overlay import FALSE_ALARM, HIT, MISSED, as_rgb, class_colours
from defectbench.reporting.records import Record

PER_KIND = 3
LONGEST = 1200  # pixels of a picture's longer side; larger ones are thinned out
_FILL, _FULL = 110, 255  # alpha of areas and of outlines
_JPEG_QUALITY = 82


@dataclass(frozen=True)
class Shown:
    """A chosen test image."""

    image_id: str
    why: str


def choose(scores: pd.DataFrame, defective: pd.Series) -> list[Shown]:
    """Choose images by rule: best, median and worst by mean Dice, and those with the largest spread over models.

    ``scores`` (images x experiments) holds Dice; ``defective`` (images) bool. Chosen are defective images, since any
    model is right on an easy clean one, and the one clean image that models disagree on most. None is chosen twice.
    """
    means = scores[defective].mean(axis=1).dropna()
    order = means.sort_values(ascending=False, kind="stable").index
    # Of a few images the best are the worst too.
    n = min(PER_KIND, max(len(order) // 3, 1))
    middle = sorted(range(len(order)), key=lambda rank: abs(rank - (len(order) - 1) / 2))
    kinds = [("best", order[:n], n), ("median", order[middle], n), ("worst", order[::-1][:n], n)]
    if scores.shape[1] > 1:
        spread = scores.std(axis=1).sort_values(ascending=False, kind="stable")
        spread = spread[spread > 0]
        kinds.insert(0, ("models disagree most", spread[defective[spread.index]].index, n))
        kinds.append(("clean, models disagree most", spread[~defective[spread.index]].index, 1))
    chosen: dict[str, str] = {}
    for why, ids, most in kinds:
        for image_id in [image_id for image_id in ids if image_id not in chosen][:most]:
            chosen[image_id] = why
    return [Shown(image_id, why) for image_id, why in chosen.items()]


def pictures(shown: Sequence[Shown], images: ImagePack, masks: MaskPack) -> list[dict[str, Any]]:
    """For each image what the page needs: the picture and the outline of its true masks, as data URIs."""
    colours = list(class_colours(masks.class_names).values())
    found = []
    for item in shown:
        image, truth = _thinned(images[item.image_id]), masks[item.image_id].astype(bool)
        index = np.zeros(truth.shape[1:], np.uint8)
        for k, mask in enumerate(truth):
            index[boundary(mask)] = k + 1
        found.append(
            {
                "id": item.image_id,
                "why": item.why,
                "width": image.shape[1],
                "height": image.shape[0],
                "image": _uri(as_rgb(image), "jpeg"),
                "truth": _palette_uri(_thinned(index), [(colour, _FULL) for colour in colours]),
                "classes": [name for name, mask in zip(masks.class_names, truth, strict=True) if mask.any()],
            }
        )
    return found


def overlays(record: Record, shown: Sequence[Shown], images: ImagePack, masks: MaskPack) -> list[dict[str, str] | None]:
    """The masks of one experiment on each image, as transparent data URIs: plain, and post-processed where it was.

    None where the experiment did not see the image, as oracle models do not see clean ones.
    """
    calibration = Calibration(**read_json(record.folder / "calibration.json"))
    maps = read_maps(record.folder / "test.pred.parquet", {item.image_id for item in shown})
    found: list[dict[str, str] | None] = []
    for item in shown:
        if item.image_id not in maps:
            found.append(None)
            continue
        truth = masks[item.image_id].any(axis=0)
        by_policy = policies.masks(maps[item.image_id], calibration, images[item.image_id])
        wanted = {"plain": record.row["policy"], "pp": policies.POST_PROCESSED}
        found.append(
            {
                name: _compared(truth, by_policy[policy].any(axis=0))
                for name, policy in wanted.items()
                if policy in by_policy
            }
        )
    return found


def read_maps(path: Path, image_ids: set[str]) -> dict[str, np.ndarray]:
    """Codes (C, H, W) of some images of a prediction file; only the parts of the file that hold them are read."""
    rows = pq.read_table(path, filters=[("image_id", "in", sorted(image_ids))]).to_pylist()
    maps: dict[str, list[np.ndarray]] = {}
    for row in rows:
        maps.setdefault(row["image_id"], []).append(decompress(row["codes"], row["height"], row["width"]))
    return {image_id: np.stack(planes) for image_id, planes in maps.items()}


def _compared(truth: np.ndarray, prediction: np.ndarray) -> str:
    """Hits, false alarms and misses tinted, the outline of the prediction in full colour."""
    outline = boundary(prediction)
    index = np.zeros(truth.shape, np.uint8)
    parts = (truth & prediction, prediction & ~truth, truth & ~prediction)
    for k, area in enumerate(parts):
        index[area] = 2 * k + 1
        index[area & outline] = 2 * k + 2
    colours = [(colour, alpha) for colour in (HIT, FALSE_ALARM, MISSED) for alpha in (_FILL, _FULL)]
    return _palette_uri(_thinned(index), colours)


def _thinned(array: np.ndarray) -> np.ndarray:
    step = -(-max(array.shape[:2]) // LONGEST)
    return np.ascontiguousarray(array[::step, ::step])


def _palette_uri(index: np.ndarray, colours: Sequence[tuple[str, int]]) -> str:
    """A PNG of ``index`` (H, W): 0 is transparent, k the k-th of ``colours`` (colour, alpha)."""
    image = Image.fromarray(index, mode="P")
    rgb = [round(255 * channel) for colour, _ in colours for channel in to_rgb(colour)]
    image.putpalette([0, 0, 0, *rgb])
    return _uri(image, "png", transparency=bytes([0, *(alpha for _, alpha in colours)]), optimize=True)


def _uri(picture: np.ndarray | Image.Image, kind: str, **options: Any) -> str:
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": _JPEG_QUALITY} if kind == "jpeg" else options))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"

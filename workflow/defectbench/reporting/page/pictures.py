"""Pictures of test images and overlays of every model's masks, small enough to be embedded in the page."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from defectbench.data.packing import ImagePack, MaskPack
from defectbench.data.stripes import mark_ignored
from defectbench.evaluation import policies
from defectbench.evaluation.calibration import Calibration
from defectbench.files import read_json
from defectbench.metrics.boundary import boundary
from defectbench.reporting.image_choice import SelectedImage, read_maps
from defectbench.reporting.masks import union_of_classes
from defectbench.reporting.overlay import FALSE_ALARM, HIT, MISSED, as_rgb, class_colours
from defectbench.reporting.records import Record

LONGEST_SIDE = 1200  # pixels of a picture's longer side; larger ones are thinned out
_FILL, _FULL = 110, 255  # alpha of areas and of outlines
_JPEG_QUALITY = 82


def image_pictures(
    selected_images: Sequence[SelectedImage], images: ImagePack, masks: MaskPack
) -> list[dict[str, Any]]:
    """For each image the picture and the outlines of its true masks, as data URIs."""
    colours = list(class_colours(masks.class_names).values())
    pictures = []
    for item in selected_images:
        truth = masks[item.image_id].astype(bool)
        image = _thin_out(mark_ignored(images[item.image_id], masks.ignored(item.image_id)))
        index = np.zeros(truth.shape[1:], np.uint8)
        for k, mask in enumerate(truth):
            index[boundary(mask)] = k + 1
        pictures.append(
            {
                "id": item.image_id,
                "reason": item.reason,
                "width": image.shape[1],
                "height": image.shape[0],
                "image": _uri(as_rgb(image), "jpeg"),
                "truth": _palette_uri(_thin_out(index), [(colour, _FULL) for colour in colours]),
                "classes": [name for name, mask in zip(masks.class_names, truth, strict=True) if mask.any()],
            }
        )
    return pictures


def prediction_overlays(
    record: Record, selected_images: Sequence[SelectedImage], images: ImagePack, masks: MaskPack
) -> list[dict[str, str] | None]:
    """The masks of one experiment on each image, as transparent data URIs: plain, and post-processed where it was.

    None where the experiment did not predict the image, as oracle models do not predict clean ones.
    """
    calibration = Calibration(**read_json(record.folder / "calibration.json"))
    maps = read_maps(record.folder / "test.pred.parquet", {item.image_id for item in selected_images})
    overlays: list[dict[str, str] | None] = []
    for item in selected_images:
        if item.image_id not in maps:
            overlays.append(None)
            continue
        truth = union_of_classes(masks[item.image_id])
        image, ignored = images[item.image_id], masks.ignored(item.image_id)
        by_policy = policies.masks(maps[item.image_id], calibration, image, ignored)
        layers = {"plain": record.row["policy"], "pp": policies.POST_PROCESSED}
        overlays.append(
            {
                name: _compare(truth, union_of_classes(by_policy[policy]))
                for name, policy in layers.items()
                if policy in by_policy
            }
        )
    return overlays


def _compare(truth: np.ndarray, prediction: np.ndarray) -> str:
    """Hits, false alarms and misses tinted, the outline of the prediction in full colour."""
    outline = boundary(prediction)
    index = np.zeros(truth.shape, np.uint8)
    parts = (truth & prediction, prediction & ~truth, truth & ~prediction)
    for k, area in enumerate(parts):
        index[area] = 2 * k + 1
        index[area & outline] = 2 * k + 2
    colours = [(colour, alpha) for colour in (HIT, FALSE_ALARM, MISSED) for alpha in (_FILL, _FULL)]
    return _palette_uri(_thin_out(index), colours)


def _thin_out(array: np.ndarray) -> np.ndarray:
    step = -(-max(array.shape[:2]) // LONGEST_SIDE)
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

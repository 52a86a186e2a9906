"""Manifests made by hand, a row per image."""

import numpy as np
import pandas as pd

from defectbench.data.manifest import Manifest
from defectbench.data.rle import encode_coco

SIZE = (20, 30)


def image(image_id: str, dent=None, stain=None, size=SIZE, **changes) -> dict:
    """A row of a manifest: a grey image of its own with the masks of two classes, empty if not given."""
    masks = [np.zeros(size, np.uint8) if mask is None else mask for mask in (dent, stain)]
    row = {
        "image_id": image_id,
        "path": f"images/{image_id}",
        "height": size[0],
        "width": size[1],
        "channels": 1,
        "stored_as": "grey 8-bit",
        "sha256": f"hash of {image_id}",
        "phash": 7,
        "group": image_id,
        "rle": [encode_coco(mask) for mask in masks],
        "area": [int(np.count_nonzero(mask)) for mask in masks],
    }
    return row | changes


def manifest(*rows: dict) -> Manifest:
    frame = pd.DataFrame(rows).astype({"phash": "UInt64"})
    return Manifest(frame, "parts", ("dent", "stain"), (1, 2), 0)


def box(top: int, left: int, height: int, width: int, size=SIZE) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    mask[top : top + height, left : left + width] = 1
    return mask

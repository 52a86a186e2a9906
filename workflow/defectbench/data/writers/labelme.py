"""Writer of LabelMe: a JSON file of masks for each image, named as it."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from defectbench.data.manifest import Manifest
from defectbench.data.writers.base import Exported, find_box, label_names
from defectbench.files import write_text

_VERSION = "5.2.0"
"""The first version of LabelMe that reads masks."""


def write(manifest: Manifest, folder: Path) -> list[Exported]:
    """Write a file per image, to be put beside it: one mask for each class that occurs."""
    exported = []
    names = label_names(manifest, lambda image: image.with_suffix(".json"))
    for row, name in zip(manifest.frame.itertuples(), names, strict=True):
        classes = zip(manifest.class_names, manifest.masks(row), strict=True)
        shapes = [_shape(class_name, mask) for class_name, mask in classes if mask.any()]
        size = {"imageHeight": row.height, "imageWidth": row.width}
        image = {"imagePath": Path(row.image_id).name, "imageData": None} | size
        write_text(folder / name, json.dumps({"version": _VERSION, "flags": {}, "shapes": shapes} | image))
        exported.append(Exported(row.image_id, len(shapes)))
    return exported


def _shape(name: str, mask: np.ndarray) -> dict[str, Any]:
    top, bottom, left, right = find_box(mask)
    png = io.BytesIO()
    Image.fromarray(mask[top : bottom + 1, left : right + 1] != 0).save(png, format="PNG")
    shape = {"label": name, "points": [[left, top], [right, bottom]], "shape_type": "mask"}
    code = base64.b64encode(png.getvalue()).decode("ascii")
    return shape | {"mask": code, "group_id": None, "description": "", "flags": {}}

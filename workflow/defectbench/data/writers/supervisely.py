"""Writer of a Supervisely project: classes in ``meta.json``, and per image a file of bitmaps in a folder ``ann``."""

import base64
import colorsys
import io
import json
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from defectbench.data.manifest import Manifest
from defectbench.data.writers.base import Exported, find_box
from defectbench.files import write_text


def write(manifest: Manifest, folder: Path) -> list[Exported]:
    """Write ``meta.json`` and ``ann/{name}.json``: per image, one bitmap for each class that occurs.

    Folders of the image ids are the project's datasets, each with an ``ann`` of its own, beside ``img`` for its images.
    """
    write_text(folder / "meta.json", json.dumps(_meta(manifest), indent=2))
    exported = []
    for row in manifest.frame.itertuples():
        masks = zip(manifest.class_values, manifest.class_names, manifest.masks(row), strict=True)
        objects = [_bitmap(value, name, mask) for value, name, mask in masks if mask.any()]
        size = {"height": row.height, "width": row.width}
        annotation = {"description": "", "tags": [], "size": size, "objects": objects}
        write_text(folder / _name(PurePosixPath(row.image_id)), json.dumps(annotation))
        exported.append(Exported(row.image_id, len(objects)))
    return exported


def _name(image: PurePosixPath) -> PurePosixPath:
    dataset = image.parent.parent if image.parent.name == "img" else image.parent
    return dataset / "ann" / f"{image.name}.json"


def _meta(manifest: Manifest) -> dict[str, Any]:
    classes = []
    for index, (value, name) in enumerate(zip(manifest.class_values, manifest.class_names, strict=True)):
        rgb = colorsys.hsv_to_rgb(index / len(manifest.class_names), 1, 1)
        colour = "#" + "".join(f"{round(255 * part):02X}" for part in rgb)
        classes.append({"id": value, "title": name, "shape": "bitmap", "color": colour})
    return {"classes": classes, "tags": [], "projectType": "images"}


def _bitmap(value: int, name: str, mask: np.ndarray) -> dict[str, Any]:
    """The part of ``mask``, (H, W) and not empty, that has defects, and its upper left corner (x, y)."""
    top, bottom, left, right = find_box(mask)
    image = Image.fromarray(mask[top : bottom + 1, left : right + 1])
    # As Supervisely's tools write it: they distinguish defects from the rest by transparency.
    image.putpalette([0, 0, 0, 255, 255, 255])
    png = io.BytesIO()
    image.save(png, format="PNG", transparency=0)
    data = base64.b64encode(zlib.compress(png.getvalue())).decode("ascii")
    bitmap = {"data": data, "origin": [left, top]}
    return {"classId": value, "classTitle": name, "tags": [], "geometryType": "bitmap", "bitmap": bitmap}

"""Writer of Label Studio's JSON: tasks to import, with brush strokes, and the labelling interface that they need."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from defectbench.data.brush_rle import encode_brush
from defectbench.data.manifest import Manifest
from defectbench.data.writers.base import Exported
from defectbench.files import write_text

_IMAGE, _BRUSH = "image", "label"
"""Names of the image and of the brush in the labelling interface."""


def write(manifest: Manifest, folder: Path) -> list[Exported]:
    """Write ``tasks.json``, one brush stroke for each image and class that occurs, and ``label_config.xml``.

    Images are given by their ids: put the address of your storage before them.
    """
    tasks, exported = [], []
    for number, row in enumerate(manifest.frame.itertuples(), start=1):
        classes = zip(manifest.class_names, manifest.masks(row), strict=True)
        regions = [_region(f"{number}_{name}", name, mask) for name, mask in classes if mask.any()]
        tasks.append({"id": number, "data": {_IMAGE: row.image_id}, "annotations": [{"result": regions}]})
        exported.append(Exported(row.image_id, len(regions)))
    write_text(folder / "tasks.json", json.dumps(tasks))
    write_text(folder / "label_config.xml", _interface(manifest.class_names))
    return exported


def _region(number: str, name: str, mask: np.ndarray) -> dict[str, Any]:
    height, width = mask.shape
    value = {"format": "rle", "rle": encode_brush(mask), "brushlabels": [name]}
    place = {"original_height": height, "original_width": width, "image_rotation": 0, "value": value}
    return {"id": number, "type": "brushlabels", "from_name": _BRUSH, "to_name": _IMAGE} | place


def _interface(names: tuple[str, ...]) -> str:
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", {"name": _IMAGE, "value": f"${_IMAGE}"})
    brush = ElementTree.SubElement(view, "BrushLabels", {"name": _BRUSH, "toName": _IMAGE})
    for name in names:
        ElementTree.SubElement(brush, "Label", {"value": name})
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"

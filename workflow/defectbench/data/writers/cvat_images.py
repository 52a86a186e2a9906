"""Writer of CVAT for images 1.1: an XML file of masks."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from defectbench.data.manifest import Manifest
from defectbench.data.writers.base import Exported, find_box
from defectbench.files import write_text


def write(manifest: Manifest, folder: Path) -> list[Exported]:
    """Write ``annotations.xml``: per image, one mask for each class that occurs."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    exported = []
    for number, row in enumerate(manifest.frame.itertuples()):
        size = {"width": str(row.width), "height": str(row.height)}
        image = ElementTree.SubElement(root, "image", {"id": str(number), "name": row.image_id} | size)
        for name, mask in zip(manifest.class_names, manifest.masks(row), strict=True):
            if mask.any():
                ElementTree.SubElement(image, "mask", _mask(name, mask))
        exported.append(Exported(row.image_id, len(image)))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    write_text(folder / "annotations.xml", f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')
    return exported


def _mask(name: str, mask: np.ndarray) -> dict[str, str]:
    """Attributes of a mask: its box, and along the rows in it, lengths of runs without and with the defect by turns."""
    top, bottom, left, right = find_box(mask)
    part = mask[top : bottom + 1, left : right + 1]
    flat = part.ravel() != 0
    edges = [0] * int(flat[0]) + (np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist()
    box = {"left": left, "top": top, "width": part.shape[1], "height": part.shape[0]}
    lengths = np.diff([0, *edges, part.size]).tolist()
    fixed = {"label": name, "source": "file", "occluded": "0", "rle": ", ".join(map(str, lengths)), "z_order": "0"}
    return fixed | {key: str(value) for key, value in box.items()}

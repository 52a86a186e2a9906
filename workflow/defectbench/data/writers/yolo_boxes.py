"""Writer of YOLO boxes: per image a text file with a row ``class x y width height`` for each connected part."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from defectbench.config.base import MERGED
from defectbench.data.manifest import Manifest
from defectbench.data.writers.base import Exported, label_names, write_data_yaml, yolo_name
from defectbench.files import write_text


def write(manifest: Manifest, folder: Path) -> list[Exported]:
    """Write ``data.yaml`` and ``labels/*.txt``; classes are numbered from 0 in the manifest's order."""
    return _write(manifest, folder, manifest.class_names, lambda masks: masks)


def write_merged(manifest: Manifest, folder: Path) -> list[Exported]:
    """Write boxes around the parts of all classes' union, as the one class MERGED."""
    return _write(manifest, folder, [MERGED], lambda masks: masks.max(axis=0, keepdims=True))


def _write(
    manifest: Manifest, folder: Path, names: Sequence[str], select: Callable[[np.ndarray], np.ndarray]
) -> list[Exported]:
    write_data_yaml(folder, names)
    exported = []
    for row, name in zip(manifest.frame.itertuples(), label_names(manifest, yolo_name), strict=True):
        rows = label(select(manifest.masks(row)))
        write_text(folder / name, "".join(rows))
        exported.append(Exported(row.image_id, len(rows)))
    return exported


def label(masks: np.ndarray) -> list[str]:
    """Rows of the text of one image, ends of lines included; ``masks``, (C, H, W) uint8, are numbered from 0."""
    return [
        f"{index} " + " ".join(f"{number:.6f}" for number in box) + "\n"
        for index, mask in enumerate(masks)
        for box in _boxes(mask).tolist()
    ]


def _boxes(mask: np.ndarray) -> np.ndarray:
    """Boxes of the 8-connected parts of ``mask``, (H, W): (N, 4) centre x and y, width, height; shares of the image."""
    stats = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:]  # the first is the background
    corners, sizes = stats[:, :2], stats[:, 2:4]
    size = mask.shape[::-1]
    return np.hstack([(corners + sizes / 2) / size, sizes / size])

"""Writer of YOLO polygons: per image a text file with a row ``class x1 y1 x2 y2 ...`` for each connected part."""

from pathlib import Path

import numpy as np

from defectbench.data.contours import trace_contours
from defectbench.data.manifest import Manifest
from defectbench.data.polygons import add_polygons
from defectbench.data.writers.base import Exported, label_names, write_data_yaml, yolo_name
from defectbench.files import write_text


def write(manifest: Manifest, folder: Path) -> list[Exported]:
    """Write ``data.yaml`` and ``labels/*.txt``, and measure how much of the masks the written text recovers.

    Classes are numbered from 0 in the manifest's order.
    """
    write_data_yaml(folder, manifest.class_names)
    exported = []
    for row, name in zip(manifest.frame.itertuples(), label_names(manifest, yolo_name), strict=True):
        rows, iou = label(manifest.masks(row))
        write_text(folder / name, "".join(rows))
        exported.append(Exported(row.image_id, len(rows), iou))
    return exported


def label(masks: np.ndarray) -> tuple[list[str], float]:
    """Rows of the text of one image, ends of lines included, and the IoU of their drawing with ``masks``.

    ``masks``, (C, H, W) uint8, values 0 and 1, are numbered from 0. The pixels of all classes are pooled in the IoU.
    """
    lines = [_lines(mask) for mask in masks]
    drawing = np.stack([_draw(of_class, *masks.shape[1:]) for of_class in lines])
    return [f"{index} {line}\n" for index, of_class in enumerate(lines) for line in of_class], _iou(drawing, masks)


def _lines(mask: np.ndarray) -> list[str]:
    """Polygons of ``mask``, (H, W), as text: coordinates as shares of width and height."""
    shares = (polygon / mask.shape[::-1] for polygon in trace_contours(mask))
    return [" ".join(f"{number:.6f}" for number in polygon.ravel().tolist()) for polygon in shares]


def _draw(lines: list[str], height: int, width: int) -> np.ndarray:
    """Mask of the polygons of :func:`_lines`, read with the precision of ultralytics: (height, width) uint8."""
    mask = np.zeros((height, width), dtype=np.uint8)
    for line in lines:
        add_polygons(mask, [np.array(line.split(), dtype=np.float32).reshape(-1, 2) * [width, height]])
    return mask


def _iou(drawing: np.ndarray, truth: np.ndarray) -> float:
    union = np.count_nonzero(drawing | truth)
    return np.count_nonzero(drawing & truth) / union if union else 1.0

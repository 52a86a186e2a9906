"""Readers of label formats, one each; all give the same manifest rows."""

from collections.abc import Callable
from typing import Any

from defectbench.data.readers import (
    area_table,
    coco,
    cvat_images,
    cvat_masks,
    label_studio,
    labelme,
    mask_folder,
    mvtec,
    pascal_voc,
    severstal_csv,
    supervisely,
    yolo,
    yolo_semantic,
)
from defectbench.data.readers.base import Labels, Problem

# Keys as in defectbench.config.ingest.FORMATS; each reader takes the settings of its format.
READERS: dict[str, Callable[[Any], Labels]] = {
    "severstal_csv": severstal_csv.read,
    "mask_folder": mask_folder.read,
    "supervisely": supervisely.read,
    "yolo": yolo.read,
    "coco": coco.read,
    "cvat_images": cvat_images.read,
    "cvat_masks": cvat_masks.read,
    "labelme": labelme.read,
    "label_studio": label_studio.read,
    "pascal_voc": pascal_voc.read,
    "yolo_semantic": yolo_semantic.read,
    "mvtec": mvtec.read,
}
ROW_READERS: dict[str, Callable[[Any], tuple[list[dict[str, Any]], list[Problem]]]] = {"area_table": area_table.read}
"""Readers of formats without images: manifest rows, and the problems of the samples that have none."""

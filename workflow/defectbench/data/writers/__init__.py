"""Writers of label formats, one each, from the manifest; images are not copied."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from defectbench.data.manifest import Manifest
from defectbench.data.writers import (
    coco,
    cvat_images,
    cvat_masks,
    label_studio,
    labelme,
    masks,
    severstal_csv,
    supervisely,
    yolo_boxes,
    yolo_polygons,
    yolo_semantic,
)
from defectbench.data.writers.base import Exported, ExportError
from defectbench.files import atomic_folder

# The formats of rules/export_labels.smk; each writer takes the manifest and a folder.
WRITERS: dict[str, Callable[[Manifest, Path], list[Exported]]] = {
    "severstal_csv": severstal_csv.write,
    "supervisely": supervisely.write,
    "yolo_boxes": yolo_boxes.write,
    "yolo_boxes_merged": yolo_boxes.write_merged,
    "yolo_polygons": yolo_polygons.write,
    "coco": coco.write,
    "masks": masks.write,
    "masks_per_class": masks.write_per_class,
    "yolo_semantic": yolo_semantic.write,
    "cvat_images": cvat_images.write,
    "cvat_masks": cvat_masks.write,
    "labelme": labelme.write,
    "label_studio": label_studio.write,
}

# Those that mark ignored pixels; by the others they would become background.
MARKING = ("coco", "masks", "yolo_semantic")


def write_labels(manifest: Manifest, format_name: str, folder: Path) -> list[Exported]:
    """Write the labels of all images into ``folder``.

    Raises:
        ExportError: if the format cannot hold these labels.
    """
    if manifest.has_ignored and format_name not in MARKING:
        raise ExportError(
            f"the dataset has ignored pixels, which {format_name} cannot mark: they would become background;"
            f" use {', '.join(MARKING)}"
        )
    return WRITERS[format_name](manifest, folder)


def export_labels(manifest: Manifest, format_name: str, folder: Path) -> pd.DataFrame:
    """Write the labels of all images into ``folder``, which appears complete.

    Returns:
        A row per image: image_id, objects, iou; see :class:`defectbench.data.writers.base.Exported`.

    Raises:
        ExportError: if the format cannot hold these labels, or ``folder`` is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ExportError(f"{folder} is not empty; remove it, or name another folder")
    with atomic_folder(folder) as temporary:
        exported = write_labels(manifest, format_name, temporary)
    return pd.DataFrame(exported, columns=list(Exported._fields))

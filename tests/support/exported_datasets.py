"""A small dataset of masks, and the same in the formats that the writers know."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from foreign_datasets import CLASSES, shape
from small_datasets import write_masks

from defectbench.config.dataset import DatasetSettings
from defectbench.config.ingest import FORMATS, MaskFolder
from defectbench.data.ingest import ingest
from defectbench.data.writers import export_labels

IN_IMAGES = "images/{folder}/{name}"
EXPORTED: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("severstal_csv", "severstal_csv"): (IN_IMAGES, {"images_dir": "images"}),
    ("masks", "mask_folder"): (IN_IMAGES, {}),
    ("masks_per_class", "mask_folder"): (IN_IMAGES, {"mask_kind": "binary", "class_from": "folder"}),
    ("supervisely", "supervisely"): ("{folder}/img/{name}", {}),
    ("yolo_polygons", "yolo"): (IN_IMAGES, {"classes": {0: "dent", 1: "stain"}}),
    ("coco", "coco"): (IN_IMAGES, {}),
    ("yolo_semantic", "yolo_semantic"): (IN_IMAGES, {}),
    ("cvat_images", "cvat_images"): (IN_IMAGES, {}),
    ("cvat_masks", "cvat_masks"): ("JPEGImages/{folder}/{name}", {}),
    ("cvat_masks", "pascal_voc"): ("JPEGImages/{folder}/{name}", {}),
    ("labelme", "labelme"): ("{folder}/{name}", {"images_dir": "."}),
    ("label_studio", "label_studio"): (IN_IMAGES, {}),
}
"""Name of the writer and of the format that reads it -> where it expects images, and its settings."""


def source_masks(folder: Path) -> MaskFolder:
    """Images and index masks in ``folder``/source: one class, two of them in a subfolder, none."""
    (folder / "source" / "masks" / "lot").mkdir(parents=True, exist_ok=True)
    masks = {"a": shape(1), "lot/b": np.where(shape(2), 2, shape(3)), "clean": 0 * shape()}
    return write_masks(folder / "source", masks)


def write_exported(folder: Path, writer: str, form: str) -> DatasetSettings:
    """The dataset of :func:`source_masks` as ``writer`` writes it, in ``folder``/out with its images."""
    place, values = EXPORTED[writer, form]
    source, out = source_masks(folder), folder / "out"
    written, *_ = ingest(source, folder / "found.csv")
    export_labels(written, writer, out)
    for image_id in map(Path, written.frame["image_id"]):
        path = out / place.format(folder=image_id.parent, name=image_id.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.root / "images" / image_id, path)
    return FORMATS[form](**{"name": "parts", "format": form, "root": out, "classes": CLASSES} | values)

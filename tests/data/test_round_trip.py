"""Labels written in a format and read again are the same."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from foreign_datasets import CLASSES, shape
from small_datasets import write_masks

from defectbench.config.ingest import FORMATS
from defectbench.data.ingest import ingest
from defectbench.data.manifest import Manifest
from defectbench.data.writers import export_labels


def labels_of_files(manifest: Manifest) -> dict[str, list[bytes]]:
    return dict(zip(manifest.frame["sha256"], manifest.frame["rle"].map(list), strict=True))


@pytest.mark.parametrize(
    ("writer", "form", "place", "values"),
    [
        ("severstal_csv", "severstal_csv", "images/{folder}/{name}", {"images_dir": "images"}),
        ("masks", "mask_folder", "images/{folder}/{name}", {}),
        ("supervisely", "supervisely", "{folder}/img/{name}", {}),
        ("yolo_polygons", "yolo", "images/{folder}/{name}", {"classes": {0: "dent", 1: "stain"}}),
        ("coco", "coco", "images/{folder}/{name}", {}),
        ("masks_per_class", "mask_folder", "images/{folder}/{name}", {"mask_kind": "binary", "class_from": "folder"}),
        ("yolo_semantic", "yolo_semantic", "images/{folder}/{name}", {}),
        ("cvat_images", "cvat_images", "images/{folder}/{name}", {}),
        ("cvat_masks", "cvat_masks", "JPEGImages/{folder}/{name}", {}),
        ("cvat_masks", "pascal_voc", "JPEGImages/{folder}/{name}", {}),
        ("labelme", "labelme", "{folder}/{name}", {"images_dir": "."}),
        ("label_studio", "label_studio", "images/{folder}/{name}", {}),
    ],
)
def test_labels_survive(tmp_path, writer, form, place, values):
    source, out = tmp_path / "source", tmp_path / "out"
    (source / "masks" / "lot").mkdir(parents=True)
    masks = {"a": shape(1), "lot/b": np.where(shape(2), 2, shape(3)), "clean": 0 * shape()}
    written, *_ = ingest(write_masks(source, masks), tmp_path / "found.csv")
    export_labels(written, writer, out)
    for image_id in map(Path, written.frame["image_id"]):
        path = out / place.format(folder=image_id.parent, name=image_id.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "images" / image_id, path)
    dataset = FORMATS[form](**{"name": "parts", "format": form, "root": out, "classes": CLASSES} | values)
    assert dataset.missing() == []
    read, problems, _ = ingest(dataset, tmp_path / "found.csv")
    assert problems == []
    assert labels_of_files(read) == labels_of_files(written)

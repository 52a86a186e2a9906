"""Roles of images by the files that list them, in formats whose files list many images, or say what the lists are."""

from collections.abc import Callable
from typing import Any

from defectbench.config.dataset import DatasetSettings
from defectbench.config.ingest import YoloFolder
from defectbench.config.split import file_role
from defectbench.data.readers import coco, cvat_images, label_studio, voc_lists, yolo

_LISTING_FILES: dict[str, Callable[[Any], dict[str, str]]] = {
    "coco": lambda settings: coco.read(settings).files(),
    "cvat_images": lambda settings: cvat_images.read(settings).files(),
    "label_studio": lambda settings: label_studio.read(settings).files(),
    "pascal_voc": voc_lists.read_lists,
    "cvat_masks": voc_lists.read_lists,
}
"""Format -> the file of each image id, relative to the root: its name may tell the role."""


def listed_roles(dataset: DatasetSettings) -> dict[str, str | None]:
    """Image id -> the role that the file with the image gives it; None if it tells none.

    Raises:
        LabelFileError: if a file cannot be read, or if files contradict each other.
    """
    if isinstance(dataset, YoloFolder):
        return dict(yolo.listed_roles(dataset))
    if dataset.format in _LISTING_FILES:
        files = _LISTING_FILES[dataset.format](dataset)
        return {image_id: file_role(file) for image_id, file in files.items()}
    return {}

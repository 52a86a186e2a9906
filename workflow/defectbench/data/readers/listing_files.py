"""Which file lists an image, in formats whose files list many images, and so may be named after roles."""

from collections.abc import Callable
from typing import Any

from defectbench.data.readers import coco, cvat_images, label_studio, voc_lists

LISTING_FILES: dict[str, Callable[[Any], dict[str, str]]] = {
    "coco": lambda settings: coco.read(settings).files(),
    "cvat_images": lambda settings: cvat_images.read(settings).files(),
    "label_studio": lambda settings: label_studio.read(settings).files(),
    "pascal_voc": voc_lists.read_lists,
    "cvat_masks": voc_lists.read_lists,
}
"""Format -> the file of each image id, relative to the root."""

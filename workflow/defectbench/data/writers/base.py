"""Shared parts of the label writers."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import yaml

from defectbench.data.manifest import Manifest
from defectbench.files import write_text
from defectbench.script import UserError

_DATA_YAML = """\
# Put the dataset's images, or a link to them, beside {labels}/ as images/. They are not split here: name lists of
# train and val images before training.
"""


class ExportError(UserError):
    """Labels that a format cannot represent, or a folder that must not be overwritten."""


class Exported(NamedTuple):
    """Summary of the labels written for one image."""

    image_id: str
    objects: int
    """Rows, boxes, polygons or masks of classes that occur."""
    iou: float | None = None
    """Polygons only: drawn again as ultralytics draws them, against the truth, pixels of all classes pooled."""


def label_names(manifest: Manifest, name_of: Callable[[PurePosixPath], PurePosixPath]) -> list[PurePosixPath]:
    """Label file of each image, in the order of ``manifest.frame``; ``name_of`` makes it from the image's id.

    Raises:
        ExportError: if two images would share a label file.
    """
    ids = defaultdict(list)
    for image_id in manifest.frame["image_id"]:
        ids[name_of(PurePosixPath(image_id))].append(image_id)
    for name, sharing in ids.items():
        if len(sharing) > 1:
            raise ExportError(f"images {', '.join(sharing)} would share the label file {name}; rename all but one")
    return list(ids)


def find_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """First row, last row, first column and last column of the defects in ``mask``, (H, W) and not empty."""
    (top, bottom), (left, right) = (np.flatnonzero(mask.any(axis=axis))[[0, -1]].tolist() for axis in (1, 0))
    return top, bottom, left, right


def yolo_name(image: PurePosixPath, labels: str = "labels", suffix: str = ".txt") -> PurePosixPath:
    """Label file of an image in ultralytics' layout: its path with ``labels`` for the last folder ``images``."""
    *folders, name = image.with_suffix(suffix).parts
    if "images" not in folders:
        return PurePosixPath(labels, *folders, name)
    folders[-1 - folders[::-1].index("images")] = labels
    return PurePosixPath(*folders, name)


def write_data_yaml(folder: Path, names: Sequence[str], **more: str) -> None:
    """Write ``data.yaml`` of a YOLO dataset with the classes ``names``; without a path, its own folder is used."""
    values = {"train": ".", "val": "."} | more | {"names": dict(enumerate(names))}
    beside = more.get("masks_dir", "labels")
    write_text(
        folder / "data.yaml",
        _DATA_YAML.format(labels=beside) + yaml.safe_dump(values, sort_keys=False, allow_unicode=True),
    )

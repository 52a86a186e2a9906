"""What the formats with named shapes share: which labels are used, found by their own readers."""

from collections.abc import Callable, Iterator
from typing import Any

from defectbench.config.ingest import FORMATS
from defectbench.data.discovery.folder import Folder
from defectbench.data.readers.base import BadLabels, LabelFileError, image_ids
from defectbench.data.readers.shapes import ShapeLabels


def used_labels(folder: Folder, form: str, read: Callable[[Any], ShapeLabels], settings: dict[str, Any]) -> list[str]:
    """Names of the labels of all shapes, sorted; none if the files are not of this format."""
    any_class = {"name": "any", "format": form, "root": folder.path, "classes": {1: "any"}}
    dataset = FORMATS[form].model_validate(any_class | settings)
    try:
        labels = read(dataset)
        entries = _entries(labels, image_ids(dataset))
        return sorted({shape.label for entry in entries for shape in entry})
    except LabelFileError:
        return []


def _entries(labels: ShapeLabels, ids: list[str]) -> Iterator[list[Any]]:
    for image_id in ids:
        try:
            entry = labels.entry(image_id)
        except BadLabels:
            continue
        yield entry.shapes if entry else []

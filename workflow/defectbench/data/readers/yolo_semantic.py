"""Reader of ultralytics' masks for semantic segmentation: a class id for each pixel, 255 for pixels to ignore.

``label_mapping`` of the file of class names is followed: from stored values to class ids, ``ignore_label`` for 255.
"""

from functools import partial
from pathlib import Path

import numpy as np
from pydantic import Field, ValidationError

from defectbench.config.mask_formats import YoloSemantic
from defectbench.data.foreign_text import TextError, parse_whole, read_text
from defectbench.data.preview import preview_list
from defectbench.data.readers.base import LabelFileError
from defectbench.data.readers.mask_folder import MaskLabels
from defectbench.data.readers.mask_pixels import VOID, MaskError, read_index, refuse_undecided
from defectbench.data.readers.parsed import Parsed, describe_error, parse_yaml

_BACKGROUND = ("background", "_background_", "__background__", "bg")


class _DataYaml(Parsed):
    names: list[str] | dict[int, str]
    label_mapping: dict[int, str] = Field({})


def decode(settings: YoloSemantic, background: int | None, mapping: dict[int, int], path: Path) -> np.ndarray:
    """Masks of the classes in a mask file, (C, H, W) uint8, values 0 and 1.

    Raises:
        MaskError: if it cannot be read, or has ids of no class.
    """
    stored, present = read_index(path)
    masks = np.zeros((len(settings.classes), *stored.shape), np.uint8)
    void = np.zeros(stored.shape, bool)
    unknown = []
    for value in present:
        class_id = mapping.get(value, value)
        if class_id in settings.classes:
            masks[settings.class_values.index(class_id)] |= stored == value
        elif class_id == VOID:
            void |= stored == value
        elif class_id != background:
            unknown.append(str(value))
    if unknown:
        without = f"background ({background})" if background is not None else "no background among the names"
        known = ", ".join(map(str, settings.class_values))
        raise MaskError(f"mask has the values {preview_list(unknown)}; allowed: {known}, {without}")
    refuse_undecided(void, f"the value {VOID}, ignore")
    return masks


def _read_yaml(path: Path) -> tuple[dict[int, str], dict[int, int]]:
    """Class id -> name, and stored value -> class id where they differ."""
    try:
        content = _DataYaml.model_validate(parse_yaml(read_text(path)))
        ids = {
            value: VOID if text.strip() in ("ignore_label", "") else parse_whole(text)
            for value, text in content.label_mapping.items()
        }
    except (ValidationError, TextError) as error:
        raise LabelFileError(f"{path}: {describe_error(error)}") from None
    except Exception as error:  # PyYAML raises many kinds for damaged files
        raise LabelFileError(f"{path}: cannot be read: {error}") from None
    return content.names if isinstance(content.names, dict) else dict(enumerate(content.names)), ids


def read_classes(path: Path) -> tuple[dict[int, str], int | None, dict[int, int]]:
    """Class id -> name without the background, its id if there is one, and stored value -> class id where they differ.

    Raises:
        LabelFileError: if the file of class names cannot be read.
    """
    names, mapping = _read_yaml(path)
    if len(names) == 1:
        names = {0: _BACKGROUND[0], 1: next(iter(names.values()))}  # as ultralytics reads a single class
    backgrounds = [value for value, name in names.items() if name.strip().lower() in _BACKGROUND]
    classes = {value: name for value, name in names.items() if value not in backgrounds}
    return classes, backgrounds[0] if backgrounds else None, mapping


def read(settings: YoloSemantic) -> MaskLabels:
    """Match the masks of ``settings`` with its images.

    Raises:
        LabelFileError: if the file of class names cannot be read, or does not match the settings.
    """
    path = settings.root / settings.data_yaml
    wanted, background, mapping = read_classes(path)
    classes = {value: name for value, name in settings.classes.items() if value != settings.ignore}
    if any(wanted.get(value) != name for value, name in classes.items()):
        raise LabelFileError(f"{path}: the classes are {wanted}, but dataset.classes says {classes}")
    return MaskLabels(settings, partial(decode, settings, background, mapping))

"""Reader of CVAT's Segmentation mask 1.1: colour masks, and the colours of the labels in ``labelmap.txt``."""

from functools import partial
from pathlib import Path

import numpy as np

from defectbench.config.mask_formats import CvatMasks
from defectbench.data.foreign_text import TextError, parse_whole, read_text, shorten
from defectbench.data.names import Names
from defectbench.data.preview import preview_list
from defectbench.data.readers.base import LabelFileError
from defectbench.data.readers.mask_folder import MaskLabels
from defectbench.data.readers.mask_pixels import Colour, MaskError, read_colours, show_colours

BACKGROUND = "background"
"""Label of the pixels of no label."""


def read_label_map(path: Path) -> dict[str, Colour]:
    """Label name -> colour of a file with lines ``name:red,green,blue:parts:actions``, the background included.

    Raises:
        LabelFileError: naming the line, if it cannot be read or two labels share a name or colour.
    """
    try:
        lines = read_text(path).splitlines()
    except OSError as error:
        raise LabelFileError(f"{path}: cannot be read: {error.strerror}") from None
    except TextError as error:
        raise LabelFileError(f"{path}: {error}") from None
    colours: dict[str, Colour] = {}
    labels: dict[Colour, str] = {}
    for row, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            name, colour = _parse_line(line)
            if name in colours:
                raise TextError(f"the label {name!r} is there twice")
            if (same := labels.setdefault(colour, name)) != name:
                raise TextError(f"the labels {same!r} and {name!r} have one colour; give one of them another in CVAT")
        except TextError as error:
            raise LabelFileError(f"{path}, row {row}: {error}") from None
        colours[name] = colour
    return colours


def _parse_line(line: str) -> tuple[str, Colour]:
    name, *rest = line.rsplit(":", 3)  # names may have colons; the last two fields may lack
    parts = [parse_whole(part) for part in rest[0].split(",")] if len(rest) in (1, 3) and rest[0].strip() else []
    if len(parts) != 3 or not all(0 <= part <= 255 for part in parts):
        raise TextError(f"must be 'name:red,green,blue:parts:actions', got {shorten(line)!r}")
    return name.strip(), (parts[0], parts[1], parts[2])


def decode(colours: dict[str, Colour], class_names: tuple[str, ...], path: Path) -> np.ndarray:
    """Masks of the classes in a mask file, (C, H, W) uint8, values 0 and 1.

    Raises:
        MaskError: if it cannot be read, or has colours of no class.
    """
    wanted = [*(colours[name] for name in class_names), colours.get(BACKGROUND, (0, 0, 0))]
    masks, others = read_colours(path, wanted)
    if others:
        names = {colour: name for name, colour in colours.items()}
        if unlisted := [names[colour] for colour in others if colour in names]:
            known = ", ".join(class_names)
            raise MaskError(f"mask has the labels {preview_list(unlisted)}, which are not in classes: {known}")
        raise MaskError(f"mask has the colours {preview_list(show_colours(others))}, which are not in the label map")
    return masks[:-1]


def read(settings: CvatMasks) -> MaskLabels:
    """Match the masks of ``settings`` with its images.

    Raises:
        LabelFileError: if the label map cannot be read, or lacks a class of the settings.
    """
    path = settings.root / settings.label_map
    colours = read_label_map(path)
    if lacking := [name for name in settings.class_names if name not in colours]:
        hint = Names(colours).hint(lacking[0])
        raise LabelFileError(f"{path}: the labels are {[*colours]}; dataset.classes has others: {lacking}{hint}")
    if black := [name for name, colour in colours.items() if not any(colour) and name in settings.class_names]:
        raise LabelFileError(f"{path}: {black[0]!r} is black, as what has no label; give it another colour in CVAT")
    return MaskLabels(settings, partial(decode, colours, settings.class_names))

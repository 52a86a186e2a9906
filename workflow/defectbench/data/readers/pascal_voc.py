"""Reader of Pascal VOC's masks: colours of its palette, in RGB or palette files, or the numbers as grey values."""

from functools import partial
from pathlib import Path

import numpy as np

from defectbench.config.mask_formats import PascalVoc
from defectbench.data.preview import preview_list
from defectbench.data.readers.mask_folder import MaskLabels, split_values
from defectbench.data.readers.mask_pixels import (
    VOID,
    MaskError,
    has_colours,
    read_colours,
    read_index,
    refuse_undecided,
    show_colours,
)
from defectbench.data.voc_palette import voc_colour

_NUMBER = {voc_colour(value): value for value in range(256)}


def decode(settings: PascalVoc, path: Path) -> np.ndarray:
    """Masks of the classes in a mask file, (C, H, W) uint8, values 0 and 1.

    Colours count, not the indices of a palette: editors that save a palette of their own keep colours.

    Raises:
        MaskError: if it cannot be read, or has other values.
    """
    values = settings.class_values
    if has_colours(path):
        masks, others = read_colours(path, [voc_colour(value) for value in (*values, VOID)])
        masks, void = masks[:-1], masks[-1]
        if unknown := [colour for colour in others if colour not in _NUMBER]:
            raise MaskError(
                f"mask has the colours {preview_list(show_colours(unknown))}, which are not in Pascal VOC's palette: "
                "read it with format: mask_folder, mask_kind: colour or index"
            )
        present = [_NUMBER[colour] for colour in others]
    else:
        stored, present = read_index(path)
        masks, void = split_values(stored, values), stored == VOID
    if VOID not in values:
        refuse_undecided(void, f"the value {VOID}, void")
    if unlisted := [value for value in present if value not in (0, VOID, *values)]:
        raise MaskError(f"mask has the numbers {preview_list(map(str, unlisted))}, which are not in classes: {values}")
    return masks


def read(settings: PascalVoc) -> MaskLabels:
    """Match the masks of ``settings`` with its images."""
    return MaskLabels(settings, partial(decode, settings))

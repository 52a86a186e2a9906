"""Reader of folders as in MVTec AD: images by kind of defect, binary masks of the defective ones in folders beside.

Images in folders of good ones are clean; all others need a mask.
"""

from functools import partial
from pathlib import Path

import numpy as np

from defectbench.config.mask_formats import MvtecFolder
from defectbench.data.names import Names
from defectbench.data.readers.mask_folder import MaskLabels
from defectbench.data.readers.mask_pixels import MaskError, read_binary


def decode(settings: MvtecFolder, path: Path) -> np.ndarray:
    """Masks of the classes in a mask file, (C, H, W) uint8, values 0 and 1.

    Raises:
        MaskError: if it cannot be read, or its folder is no class.
    """
    mask, folder = read_binary(path, None), settings.defect_of(path)
    index = 0
    if folder == settings.good and mask.any():
        raise MaskError(f"mask of a good image, by its folder {folder!r}, has {np.count_nonzero(mask)} defect pixels")
    if settings.class_from == "folder" and folder != settings.good:
        if folder not in settings.class_names:
            known = ", ".join(settings.class_names)
            raise MaskError(f"folder {folder!r} is not in classes: {known}{Names(settings.class_names).hint(folder)}")
        index = settings.class_names.index(folder)
    masks = np.zeros((len(settings.classes), *mask.shape), np.uint8)
    masks[index] = mask
    return masks


def read(settings: MvtecFolder) -> MaskLabels:
    """Match the masks of ``settings`` with its images."""
    return MaskLabels(settings, partial(decode, settings))

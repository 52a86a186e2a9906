"""Writer of masks as PNG files below ``masks/``, named as the images, and class names in ``classes.yaml``."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import yaml
from PIL import Image

from defectbench.data.manifest import Manifest
from defectbench.data.packing import IGNORED
from defectbench.data.preview import preview_list
from defectbench.data.writers.base import Exported, ExportError, label_names
from defectbench.files import atomic, write_text


def write(manifest: Manifest, folder: Path) -> list[Exported]:
    """Write index masks: the value of a pixel is the label value of its class, or 0; IGNORED if nobody decided.

    Raises:
        ExportError: if classes overlap, which one value per pixel cannot say, or a label value is not in 1 ... 255, or
            is that of ignored pixels.
    """
    unfit = [value for value in manifest.class_values if not 0 < value < 256]
    if unfit:
        raise ExportError(f"an index mask holds label values from 1 to 255, not {unfit}; use masks_per_class")
    if manifest.has_ignored and IGNORED in manifest.class_values:
        raise ExportError(f"{IGNORED} is a class, and would mark the dataset's ignored pixels; use coco")
    _write_classes(manifest, folder)
    names = label_names(manifest, png_name)
    return write_index_masks(manifest, [folder / "masks" / name for name in names], manifest.class_values)


def write_index_masks(
    manifest: Manifest, paths: Sequence[Path], values: Sequence[int], palette: Sequence[int] = ()
) -> list[Exported]:
    """Write the masks of each image to its path: each pixel has the value of its class, 1 ... 255, 0 or IGNORED.

    ``palette`` has red, green and blue of the values from 0 up; without it, the masks are grey.

    Raises:
        ExportError: if classes overlap, which one value per pixel cannot say.
    """
    factors = np.array(values, dtype=np.uint8).reshape(-1, 1, 1)
    exported: list[Exported] = []
    overlapping: list[str] = []
    for row, path in zip(manifest.frame.itertuples(), paths, strict=True):
        masks = manifest.masks(row)
        if (masks.sum(axis=0, dtype=np.uint16) > 1).any():
            overlapping.append(row.image_id)
        else:
            index = (masks * factors).sum(axis=0, dtype=np.uint8)
            index[manifest.ignored(row).astype(bool)] = IGNORED
            write_png(path, index, palette)
            exported.append(Exported(row.image_id, int(np.count_nonzero(row.area))))
    if overlapping:
        raise ExportError(
            f"classes overlap in {len(overlapping)} image(s), which an index mask cannot hold: "
            f"{preview_list(overlapping)}; "
            "use masks_per_class"
        )
    return exported


def write_per_class(manifest: Manifest, folder: Path) -> list[Exported]:
    """Write a binary mask, 0 and 255, for each class and image, below ``masks/{label value}/``; empty ones too."""
    _write_classes(manifest, folder)
    exported = []
    for row, name in zip(manifest.frame.itertuples(), label_names(manifest, png_name), strict=True):
        for value, mask in zip(manifest.class_values, manifest.masks(row), strict=True):
            write_png(folder / "masks" / str(value) / name, mask * np.uint8(255))
        exported.append(Exported(row.image_id, int(np.count_nonzero(row.area))))
    return exported


def png_name(image: PurePosixPath) -> PurePosixPath:
    """Mask file of an image."""
    return image.with_suffix(".png")


def _write_classes(manifest: Manifest, folder: Path) -> None:
    classes = dict(zip(manifest.class_values, manifest.class_names, strict=True))
    write_text(folder / "classes.yaml", yaml.safe_dump(classes, sort_keys=False, allow_unicode=True))


def write_png(path: Path, mask: np.ndarray, palette: Sequence[int] = ()) -> None:
    """Write a mask (H, W) uint8, atomically; ``palette`` as for :func:`write_index_masks`."""
    image = Image.fromarray(mask)
    if palette:
        image.putpalette(palette)
    with atomic(path) as temporary:
        image.save(temporary)

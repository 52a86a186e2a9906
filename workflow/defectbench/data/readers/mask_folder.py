"""A folder of masks whose files have the same stems as the images."""

from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from defectbench.config.ingest import MaskFolder
from defectbench.data.readers.base import BadLabels, Problem, image_ids, relative

# Pillow stretches the few values of a shallow grey PNG over 0 ... 255; the labels are the stored values.
_STRETCH = {"L;2": 85, "L;4": 17}


class MaskLabels:
    """Labels drawn as masks: an image, and below the same relative path without suffix, its mask."""

    def __init__(self, settings: MaskFolder) -> None:
        """List the masks and match them with the images."""
        self.problems: list[Problem] = []
        self._settings = settings
        self._masks = self._match(settings)

    def _match(self, settings: MaskFolder) -> dict[str, Path]:
        """Image id -> its mask; whatever has no partner, or more than one, is a problem."""
        images, masks = defaultdict(list), defaultdict(list)
        for image_id in image_ids(settings):
            images[_stem(image_id)].append(image_id)
        folder = settings.root / settings.masks_dir
        for path in settings.label_files():
            masks[_stem(path.relative_to(folder).as_posix())].append(path)
        matched = {}
        for stem, ids in images.items():
            files = masks.pop(stem, [])
            if len(ids) == len(files) == 1:
                matched[ids[0]] = files[0]
                continue
            problem = f"{len(ids)} images and {len(files)} masks share the stem {stem!r}" if files else "has no mask"
            for image_id in ids:
                file = relative(settings.root / settings.images_dir / image_id, settings)
                self.problems.append(Problem(image_id, file, None, problem))
        for stem, files in masks.items():
            for path in files:
                self.problems.append(Problem(stem, relative(path, settings), None, "mask has no image"))
        return matched

    def masks(self, image_id: str, height: int, width: int) -> np.ndarray:
        """See :meth:`defectbench.data.readers.base.Labels.masks`."""
        if image_id not in self._masks:
            raise BadLabels([])  # told already, in ``problems``
        path = self._masks[image_id]
        try:
            return self._decode(path, height, width)
        except ValueError as error:
            raise BadLabels([Problem(image_id, relative(path, self._settings), None, str(error))]) from None

    def _decode(self, path: Path, height: int, width: int) -> np.ndarray:
        binary = self._settings.mask_kind == "binary"
        values = _read_grey(path) if binary else _read_index(path)
        if values.shape != (height, width):
            raise ValueError(f"mask is {values.shape[0]} x {values.shape[1]}, its image {height} x {width}")
        if binary:
            return (values > self._settings.threshold).astype(np.uint8)[None]
        classes = self._settings.class_values
        masks = values == np.array(classes).reshape(-1, 1, 1)
        unknown = np.unique(values[(values != 0) & ~masks.any(axis=0)]).tolist()
        if unknown:
            shown = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
            raise ValueError(f"mask has the values {shown}; allowed: 0 (background), {', '.join(map(str, classes))}")
        return masks.astype(np.uint8)


def _stem(relative_path: str) -> str:
    return PurePosixPath(relative_path).with_suffix("").as_posix()


def _read_grey(path: Path) -> np.ndarray:
    """Grey values of a mask file, (H, W); of a 16-bit file the stored values."""
    image, _ = _load(path)
    return np.asarray(image if image.mode.startswith("I") else image.convert("L"))


def _read_index(path: Path) -> np.ndarray:
    """Values stored in a mask file, (H, W): palette indices or grey values, never the palette's colours."""
    image, stored_as = _load(path)
    if len(image.getbands()) == 1:
        return np.asarray(image) // _STRETCH.get(stored_as, 1)
    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)
    if not (np.array_equal(red, green) and np.array_equal(red, blue)):
        raise ValueError("mask has colours; index masks must be grey or palette images")
    return red


def _load(path: Path) -> tuple[Image.Image, str]:
    """The decoded image, and how Pillow says that its pixels are stored."""
    try:
        image = Image.open(path)
        stored_as = str(image.tile[0].args) if image.tile else ""
        image.load()
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise ValueError(f"mask cannot be read: {error}") from None
    return image, stored_as


def read(settings: MaskFolder) -> MaskLabels:
    """Match the masks of ``settings`` with its images; see :class:`MaskLabels`."""
    return MaskLabels(settings)

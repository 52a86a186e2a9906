"""Reader of a folder of masks whose files have the same stems as the images."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from defectbench.config.ingest import MaskFolder
from defectbench.data.preview import preview_list
from defectbench.data.readers.base import BadLabels, DrawnLabels, Problem, image_ids, relative_path

# Pillow stretches the few values of a shallow grey PNG over 0 ... 255; the labels are the stored values.
_STRETCH = {"L;2": 85, "L;4": 17}


class MaskLabels(DrawnLabels):
    """Labels drawn as masks: an image, and its mask under the same relative path without suffix."""

    def __init__(self, settings: MaskFolder) -> None:
        """List the masks and match them with the images."""
        self.problems: list[Problem] = []
        self._settings = settings
        self._masks = self._match(settings)

    def _match(self, settings: MaskFolder) -> dict[str, Path]:
        """Image id -> its mask; images and masks without exactly one partner are problems."""
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
                file = relative_path(settings.root / settings.images_dir / image_id, settings)
                self.problems.append(Problem(image_id, file, None, problem))
        for stem, files in masks.items():
            for path in files:
                self.problems.append(Problem(stem, relative_path(path, settings), None, "mask has no image"))
        return matched

    def masks(self, image_id: str, height: int, width: int) -> np.ndarray:
        """See :meth:`defectbench.data.readers.base.DrawnLabels.masks`."""
        if image_id not in self._masks:
            raise BadLabels([])  # reported already, in ``problems``
        path = self._masks[image_id]
        try:
            return self._decode(path, height, width)
        except ValueError as error:
            raise BadLabels([Problem(image_id, relative_path(path, self._settings), None, str(error))]) from None

    def _decode(self, path: Path, height: int, width: int) -> np.ndarray:
        kind = self._settings.mask_kind
        values = {"binary": _read_grey, "index": _read_index, "colour": _read_colour}[kind](path)
        if values.shape != (height, width):
            raise ValueError(f"mask is {values.shape[0]} x {values.shape[1]}, its image {height} x {width}")
        if kind == "binary":
            return (values > self._settings.threshold).astype(np.uint8)[None]
        name = "values"
        show: Callable[[int], str] = str
        classes = list(self._settings.class_values)
        if kind == "colour":
            name, show = "colours", _show_colour
            classes = [_number(colour) for colour in self._settings.class_colours]
        masks = values == np.array(classes).reshape(-1, 1, 1)
        unknown = np.unique(values[(values != 0) & ~masks.any(axis=0)]).tolist()
        if unknown:
            allowed = ", ".join(map(show, classes))
            raise ValueError(
                f"mask has the {name} {preview_list(map(show, unknown))}; allowed: {show(0)} (background), {allowed}"
            )
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


def _read_colour(path: Path) -> np.ndarray:
    """Colours of a mask file, (H, W), each as :func:`_number`; a palette is followed, transparency is not."""
    image, _ = _load(path)
    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB"), dtype=np.int64), -1, 0)
    return _number((red, green, blue))


def _number(colour: tuple[Any, Any, Any]) -> Any:
    """Red, green and blue, numbers or arrays of 0 ... 255, as one number each; black is 0."""
    red, green, blue = colour
    return 65536 * red + 256 * green + blue


def _show_colour(number: int) -> str:
    return f"[{number // 65536}, {number // 256 % 256}, {number % 256}]"


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

"""Reader of LabelMe: a JSON file for each image, with shapes in pixels.

Polygons and rectangles are drawn with their outline, as LabelMe's own converters do. An image whose file has no shapes
is clean; one without a file is a problem, or clean if the settings say so.
"""

import base64
import binascii
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, ValidationError

from defectbench.config.shape_formats import LabelMe
from defectbench.data.decoders import ImageError, load_pixels, open_image
from defectbench.data.foreign_text import TextError, read_text
from defectbench.data.names import normal_form
from defectbench.data.readers.base import (
    BadLabels,
    Problem,
    image_ids,
    pair_files,
    relative_path,
    shared_files,
    unlabelled_images,
)
from defectbench.data.readers.parsed import Many, Parsed, describe_error
from defectbench.data.readers.shapes import Entry, Rle, Shape, ShapeLabels, draw_ellipse, draw_outlined, place_mask

_Point = tuple[float, float]


def _as_pairs(flags: Any) -> Any:
    """The pairs of an object, which is read to its first mistake, as a list is; none for null."""
    return list(flags.items()) if isinstance(flags, dict) else [] if flags is None else flags


class _Shape(Parsed):
    label: str
    points: Many[_Point]
    shape_type: str | None = None  # files of old versions have polygons without saying so
    mask: str | None = None  # base64 of a PNG
    flags: Annotated[Many[tuple[str, Any]], BeforeValidator(_as_pairs)] = Field([])


class _File(Parsed):
    shapes: Many[_Shape]
    image_path: str = Field(alias="imagePath")
    image_data: str | None = Field(None, alias="imageData")
    flags: Annotated[Many[tuple[str, bool]], BeforeValidator(_as_pairs)] = Field([])
    height: int | None = Field(None, alias="imageHeight")
    width: int | None = Field(None, alias="imageWidth")


class LabelMeLabels(ShapeLabels):
    """Labels of a folder of LabelMe files."""

    def __init__(self, settings: LabelMe) -> None:
        """Match the files with the images."""
        super().__init__(settings)
        self._root = settings.root
        self._missing_is_clean = settings.missing_label == "clean"
        self._files = self._match(settings)

    def _match(self, settings: LabelMe) -> dict[str, str]:
        """Image id -> its file, relative to the root; what finds no partner is a problem."""
        ids = image_ids(settings)
        folder = PurePosixPath(settings.labels_folder)
        expected = {one: (folder / one).with_suffix(".json").as_posix() for one in ids}
        files = [relative_path(path, settings) for path in settings.label_files()]
        pairs, orphans = pair_files(expected, files, self.notes)
        self.problems += shared_files(pairs)
        may_be_clean = self._missing_is_clean or bool(settings.clean_folders)
        for file, hint in orphans.items():
            problem = f"label file has no image{hint or self._copy_inside(file)}"
            self.problems.append(Problem(file, file, None, problem, always_stops=may_be_clean))
        if self._missing_is_clean:
            self.problems += unlabelled_images(settings, ids, pairs)
            return pairs
        for image_id in ids:
            if image_id not in pairs and not settings.is_in_clean_folder(image_id):
                place = (PurePosixPath(settings.images_dir) / image_id).as_posix()
                advice = "if images without one are clean, set missing_label: clean"
                self.problems.append(
                    Problem(image_id, place, None, f"has no label file {expected[image_id]}; {advice}")
                )
        return pairs

    def _copy_inside(self, file: str) -> str:
        """What to do about a file without an image, as the end of a message, if it holds a copy of the image."""
        try:
            content = self._parse(file)
        except TextError:
            return ""
        where = f"; it holds a copy, imageData: save it as {content.image_path!r}, with LabelMe's labelme_export_json"
        return where if content.image_data else ""

    def _parse(self, file: str) -> _File:
        try:
            return _File.model_validate_json(read_text(self._root / file))
        except ValidationError as error:
            raise TextError(f"not a file of LabelMe: {describe_error(error)}") from None
        except OSError as error:
            raise TextError(f"cannot be read: {error.strerror}") from None

    def entry(self, image_id: str) -> Entry | None:
        """See :meth:`ShapeLabels.entry`."""
        if image_id not in self._files:
            if self._missing_is_clean or self._settings.is_in_clean_folder(image_id):
                return None
            raise BadLabels([])  # reported already, in ``problems``
        file = self._files[image_id]
        try:
            content = self._parse(file)
            _check_image(image_id, content.image_path)
        except TextError as error:
            raise BadLabels([Problem(image_id, file, None, str(error))]) from None
        size = None if content.height is None or content.width is None else (content.height, content.width)
        shapes = [_shape(number, shape) for number, shape in enumerate(content.shapes)]
        return Entry(file, size, shapes, _list_set(content.flags))


def _list_set(flags: Sequence[tuple[str, Any]]) -> list[str]:
    """Names of the flags that are set."""
    return [name for name, value in flags if value is True]


def _check_image(image_id: str, image_path: str) -> None:
    """Refuse a file that is of another image than the one with its name; the suffix may have changed."""
    named, own = (PurePosixPath(normal_form(name)).stem for name in (image_path, image_id))
    if named != own:
        raise TextError(
            f"is of {image_path!r} (imagePath), not of {image_id!r}, which has its name: rename one of them"
        )


def _shape(number: int, shape: _Shape) -> Shape:
    place = f"shapes.{number}"
    return Shape(place, None, shape.label, lambda height, width: _draw(shape, height, width), _list_set(shape.flags))


def _draw(shape: _Shape, height: int, width: int) -> Rle:
    kind, points = shape.shape_type or "polygon", shape.points
    if kind == "polygon":
        return draw_outlined(points, height, width)
    if kind not in ("rectangle", "circle", "mask"):
        raise ValueError(f"a {kind} has no area or is not read; draw it as a polygon or mask in LabelMe")
    if len(points) != 2:
        raise ValueError(f"{kind} has {len(points)} points; it needs 2")
    (x, y), (other_x, other_y) = points
    if kind == "rectangle":
        return draw_outlined([(x, y), (other_x, y), (other_x, other_y), (x, other_y)], height, width)
    if kind == "circle":
        radius = float(np.hypot(other_x - x, other_y - y))
        return draw_ellipse((x, y), (radius, radius), height, width)
    return _draw_mask(shape, height, width)


def _draw_mask(shape: _Shape, height: int, width: int) -> Rle:
    """A bitmap between two pixels, both of which belong to it."""
    if not np.isfinite(shape.points).all():
        raise ValueError("mask has points that are not finite")
    (left, top), (right, bottom) = ((round(x), round(y)) for x, y in shape.points)
    try:
        image = open_image(base64.b64decode(shape.mask or "", validate=True), ("PNG",))
        if (image.height, image.width) != (bottom - top + 1, right - left + 1):
            room = f"{bottom - top + 1} x {right - left + 1}"
            raise ValueError(f"mask is {image.height} x {image.width}, its points have room for {room} pixels")
        if image.height > height or image.width > width:
            raise ValueError(f"mask of {image.height} x {image.width} pixels is larger than its image")
        pixels = np.asarray(load_pixels(image))
    except (ImageError, binascii.Error) as error:
        raise ValueError(f"mask cannot be read: {error}") from None
    if pixels.ndim != 2:
        raise ValueError("mask has colours; LabelMe writes it in black and white")
    return place_mask(pixels != 0, top, left, height, width)


def read(settings: LabelMe) -> LabelMeLabels:
    """Match the files of ``settings`` with its images; see :class:`LabelMeLabels`."""
    return LabelMeLabels(settings)

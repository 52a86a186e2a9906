"""Reader of Supervisely projects: ``meta.json`` with the classes, and ``ann/NAME.json`` for each image ``img/NAME``."""

import base64
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, ValidationError

from defectbench.config.ingest import SuperviselyProject
from defectbench.data.decoders import ImageError, load_pixels, open_image
from defectbench.data.foreign_text import TextError, read_text
from defectbench.data.polygons import DegenerateError, PolygonError, add_polygons, check_points
from defectbench.data.readers.base import (
    BadLabels,
    DrawnLabels,
    LabelFileError,
    Note,
    Problem,
    image_ids,
    pair_files,
    relative_path,
    shapes_left_out,
)
from defectbench.data.readers.parsed import Many, Parsed, describe_error


class _Class(Parsed):
    title: str


class _Meta(Parsed):
    classes: Many[_Class]


class _Size(Parsed):
    height: int
    width: int


class _Bitmap(Parsed):
    data: str  # base64 of a zlib-compressed PNG
    origin: tuple[int, int]  # x and y of its first pixel


class _Points(Parsed):
    exterior: Many[tuple[float, float]]
    interior: Many[Many[tuple[float, float]]] = Field([])


class _Object(Parsed):
    title: str = Field(alias="classTitle")
    geometry: Literal["bitmap", "polygon"] = Field(alias="geometryType")
    bitmap: _Bitmap | None = None
    points: _Points | None = None


class _Annotation(Parsed):
    size: _Size
    objects: Many[_Object]


class SuperviselyLabels(DrawnLabels):
    """Labels of a Supervisely project; an image without objects is clean, one without annotation file a problem."""

    def __init__(self, settings: SuperviselyProject) -> None:
        """Check the classes and match annotation files with images.

        Raises:
            LabelFileError: if ``meta.json`` cannot be read, or lacks a class of the settings.
        """
        _check_classes(settings)
        self._settings = settings
        self._class_index = {name: index for index, name in enumerate(settings.class_names)}
        self.problems: list[Problem] = []
        self.notes: list[Note] = []
        self._files = self._match(image_ids(settings))

    def _match(self, ids: list[str]) -> dict[str, str]:
        """Image id -> its annotation file, relative to the root; what finds no partner is a problem."""
        settings = self._settings
        images = {image_id: settings.root / settings.images_dir / image_id for image_id in ids}
        expected = {one: relative_path(settings.annotation_file(path), settings) for one, path in images.items()}
        files = [relative_path(path, settings) for path in settings.annotation_files()]
        pairs, orphans = pair_files(expected, files, self.notes)
        for image_id, path in images.items():
            if image_id not in pairs and not settings.is_in_clean_folder(image_id):
                self.problems.append(Problem(image_id, relative_path(path, settings), None, "has no annotation file"))
        for file, hint in orphans.items():
            problem = f"annotation file has no image{hint}"
            self.problems.append(Problem(file, file, None, problem, always_stops=bool(settings.clean_folders)))
        return pairs

    def _read(self, image_id: str) -> _Annotation | None:
        """The annotations of an image; None if it has none because it is in a folder of clean images."""
        if image_id not in self._files:
            if self._settings.is_in_clean_folder(image_id):
                return None
            raise BadLabels([])  # reported already, in ``problems``
        try:
            return _Annotation.model_validate_json(read_text(self._settings.root / self._files[image_id]))
        except (ValidationError, TextError) as error:
            raise BadLabels([self._problem(image_id, describe_error(error))]) from None
        except OSError as error:
            raise BadLabels([self._problem(image_id, f"cannot be read: {error.strerror}")]) from None

    def size(self, image_id: str) -> tuple[int, int] | None:
        """See :meth:`defectbench.data.readers.base.Labels.size`."""
        annotation = self._read(image_id)
        return (annotation.size.height, annotation.size.width) if annotation else None

    def masks(self, image_id: str, height: int, width: int) -> np.ndarray:
        """See :meth:`defectbench.data.readers.base.DrawnLabels.masks`."""
        masks = np.zeros((len(self._class_index), height, width), dtype=np.uint8)
        annotation = self._read(image_id)
        if annotation is None:
            return masks
        size = annotation.size
        if (size.height, size.width) != (height, width):
            problem = f"annotation is for {size.height} x {size.width} pixels, its image has {height} x {width}"
            raise BadLabels([self._problem(image_id, problem)])
        problems, left_out = [], []
        for number, labelled in enumerate(annotation.objects):
            try:
                left_out += [f"objects.{number}: {error}" for error in self._add(masks, labelled)]
            except (ValueError, PolygonError) as error:
                problems.append(self._problem(image_id, f"objects.{number}: {error}"))
        if problems:
            raise BadLabels(problems)
        self.notes += shapes_left_out(image_id, self._files[image_id], left_out, none_left=not masks.any())
        return masks

    def _problem(self, image_id: str, problem: str) -> Problem:
        return Problem(image_id, self._files[image_id], None, problem)

    def _add(self, masks: np.ndarray, labelled: _Object) -> list[DegenerateError]:
        """Add one object to ``masks``; returns why rings of it are left out."""
        if labelled.title not in self._class_index:
            raise ValueError(f"class {labelled.title!r} is not in classes: {', '.join(self._class_index)}")
        mask = masks[self._class_index[labelled.title]]
        height, width = mask.shape
        if labelled.geometry == "bitmap" and labelled.bitmap:
            shape = _decode(labelled.bitmap.data, height, width)
            left, top = labelled.bitmap.origin
            bottom, right = top + shape.shape[0], left + shape.shape[1]
            if left < 0 or top < 0 or bottom > height or right > width:
                place = f"rows {top} to {bottom - 1}, columns {left} to {right - 1}"
                raise ValueError(f"bitmap leaves the image: {place}, image {height} x {width}")
            mask[top:bottom, left:right] |= shape
            return []
        if labelled.geometry == "polygon" and labelled.points:
            rings = [_ring(ring, height, width) for ring in (labelled.points.exterior, *labelled.points.interior)]
            if not isinstance(rings[0], DegenerateError):
                add_polygons(mask, [ring for ring in rings if isinstance(ring, np.ndarray)])
            return [ring for ring in rings if isinstance(ring, DegenerateError)]
        raise ValueError(f"{labelled.geometry} without its {'data' if labelled.geometry == 'bitmap' else 'points'}")


def _ring(points: list[tuple[float, float]], height: int, width: int) -> np.ndarray | DegenerateError:
    """The checked points of an outline, or why there is none."""
    try:
        return check_points(points, height, width)
    except DegenerateError as error:
        return error


def _decode(text: str, height: int, width: int) -> np.ndarray:
    """The bitmap in ``text``, (H, W) bool: opaque pixels, or non-zero ones without transparency.

    It is not larger than its image, ``height`` by ``width``.
    """
    try:
        # No PNG of so many pixels is larger; without a limit, little text may fill the memory.
        limit = 5 * height * width + 2**16
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(base64.b64decode(text), limit)
        if unpacking.unconsumed_tail:
            raise ValueError("it is larger than its image")
        image = open_image(data, ("PNG",))
        if image.height > height or image.width > width:
            raise ValueError(f"it is {image.height} x {image.width}, larger than its image")
        load_pixels(image)
    except (ImageError, ValueError, zlib.error) as error:
        raise ValueError(f"bitmap cannot be read: {error}") from None
    if image.has_transparency_data:
        return np.asarray(image.convert("RGBA"))[..., 3] > 0
    if len(image.getbands()) == 1:
        return np.asarray(image) > 0
    raise ValueError("bitmap has colours, but neither transparency nor a single channel")


def read_titles(path: Path) -> list[str]:
    """The titles of the classes in a ``meta.json``.

    Raises:
        LabelFileError: if it cannot be read.
    """
    try:
        return [known.title for known in _Meta.model_validate_json(read_text(path)).classes]
    except (ValidationError, TextError) as error:
        raise LabelFileError(f"{path}: {describe_error(error)}") from None
    except OSError as error:
        raise LabelFileError(f"{path}: cannot be read: {error.strerror}") from None


def _check_classes(settings: SuperviselyProject) -> None:
    path = settings.root / "meta.json"
    titles = read_titles(path)
    lacking = [name for name in settings.class_names if name not in titles]
    if lacking:
        raise LabelFileError(f"{path}: the classes are {titles}; dataset.classes has others: {lacking}")


def read(settings: SuperviselyProject) -> SuperviselyLabels:
    """Match the annotation files of ``settings`` with its images; see :class:`SuperviselyLabels`."""
    return SuperviselyLabels(settings)

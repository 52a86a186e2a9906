"""Reader of Supervisely projects: ``meta.json`` with the classes, and ``ann/NAME.json`` for each image ``img/NAME``."""

import base64
import io
import zlib
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field, ValidationError

from defectbench.config.ingest import SuperviselyProject
from defectbench.data.polygons import PolygonError, check_points, draw_polygons
from defectbench.data.readers.base import BadLabels, DrawnLabels, LabelFileError, Problem, image_ids, relative_path
from defectbench.data.readers.parsed import Parsed, describe_error


class _Class(Parsed):
    title: str


class _Meta(Parsed):
    classes: list[_Class]


class _Size(Parsed):
    height: int
    width: int


class _Bitmap(Parsed):
    data: str  # base64 of a zlib-compressed PNG
    origin: tuple[int, int]  # x and y of its first pixel


class _Points(Parsed):
    exterior: list[tuple[float, float]]
    interior: list[list[tuple[float, float]]] = Field([])


class _Object(Parsed):
    title: str = Field(alias="classTitle")
    geometry: Literal["bitmap", "polygon"] = Field(alias="geometryType")
    bitmap: _Bitmap | None = None
    points: _Points | None = None


class _Annotation(Parsed):
    size: _Size
    objects: list[_Object]


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
        folder = settings.root / settings.images_dir
        images = {image_id: folder / image_id for image_id in image_ids(settings)}
        self._files = {image_id: settings.annotation_file(path) for image_id, path in images.items()}
        files = set(settings.annotation_files())
        self.problems = [
            Problem(image_id, relative_path(images[image_id], settings), None, "has no annotation file")
            for image_id, file in self._files.items()
            if file not in files
        ]
        for path in sorted(files - set(self._files.values())):
            file = relative_path(path, settings)
            self.problems.append(Problem(file, file, None, "annotation file has no image"))

    def masks(self, image_id: str, height: int, width: int) -> np.ndarray:
        """See :meth:`defectbench.data.readers.base.DrawnLabels.masks`."""
        path = self._files[image_id]
        if not path.is_file():
            raise BadLabels([])  # reported already, in ``problems``
        try:
            annotation = _Annotation.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise BadLabels([self._problem(image_id, describe_error(error))]) from None
        except OSError as error:
            raise BadLabels([self._problem(image_id, f"cannot be read: {error.strerror}")]) from None
        size = annotation.size
        if (size.height, size.width) != (height, width):
            problem = f"annotation is for {size.height} x {size.width} pixels, its image has {height} x {width}"
            raise BadLabels([self._problem(image_id, problem)])
        masks = np.zeros((len(self._class_index), height, width), dtype=np.uint8)
        problems = []
        for number, labelled in enumerate(annotation.objects):
            try:
                self._add(masks, labelled)
            except (ValueError, PolygonError) as error:
                problems.append(self._problem(image_id, f"objects.{number}: {error}"))
        if problems:
            raise BadLabels(problems)
        return masks

    def _problem(self, image_id: str, problem: str) -> Problem:
        return Problem(image_id, relative_path(self._files[image_id], self._settings), None, problem)

    def _add(self, masks: np.ndarray, labelled: _Object) -> None:
        if labelled.title not in self._class_index:
            raise ValueError(f"class {labelled.title!r} is not in classes: {', '.join(self._class_index)}")
        mask = masks[self._class_index[labelled.title]]
        height, width = mask.shape
        if labelled.geometry == "bitmap" and labelled.bitmap:
            shape = _decode(labelled.bitmap.data)
            left, top = labelled.bitmap.origin
            bottom, right = top + shape.shape[0], left + shape.shape[1]
            if left < 0 or top < 0 or bottom > height or right > width:
                place = f"rows {top} to {bottom - 1}, columns {left} to {right - 1}"
                raise ValueError(f"bitmap leaves the image: {place}, image {height} x {width}")
            mask[top:bottom, left:right] |= shape
        elif labelled.geometry == "polygon" and labelled.points:
            rings = [labelled.points.exterior, *labelled.points.interior]
            mask |= draw_polygons([check_points(ring, height, width) for ring in rings], height, width)
        else:
            raise ValueError(f"{labelled.geometry} without its {'data' if labelled.geometry == 'bitmap' else 'points'}")


def _decode(text: str) -> np.ndarray:
    """The bitmap in ``text``, (H, W) bool: opaque pixels, or non-zero ones without transparency."""
    try:
        image = Image.open(io.BytesIO(zlib.decompress(base64.b64decode(text))))
        image.load()
    except Exception as error:  # zlib, base64 and Pillow raise many kinds for damaged data
        raise ValueError(f"bitmap cannot be read: {error}") from None
    if image.has_transparency_data:
        return np.asarray(image.convert("RGBA"))[..., 3] > 0
    if len(image.getbands()) == 1:
        return np.asarray(image) > 0
    raise ValueError("bitmap has colours, but neither transparency nor a single channel")


def _check_classes(settings: SuperviselyProject) -> None:
    path = settings.root / "meta.json"
    try:
        titles = [known.title for known in _Meta.model_validate_json(path.read_bytes()).classes]
    except ValidationError as error:
        raise LabelFileError(f"{path}: {describe_error(error)}") from None
    except OSError as error:
        raise LabelFileError(f"{path}: cannot be read: {error.strerror}") from None
    lacking = [name for name in settings.class_names if name not in titles]
    if lacking:
        raise LabelFileError(f"{path}: the classes are {titles}; dataset.classes has others: {lacking}")


def read(settings: SuperviselyProject) -> SuperviselyLabels:
    """Match the annotation files of ``settings`` with its images; see :class:`SuperviselyLabels`."""
    return SuperviselyLabels(settings)

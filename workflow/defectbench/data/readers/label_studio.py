"""Reader of Label Studio's export as JSON: tasks, their annotations, and in these regions with labels.

One annotation of a task is read: the only one that was not skipped; of several the one marked as ground truth, else,
if the settings say so, the one that was changed last. An annotation without regions says that the image is clean; a
task without annotation says nothing. Predictions and answers that are no regions, such as choices, are not read.

Polygons are drawn by the rule of COCO. Coordinates are percents of the image's width and height.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import Field, TypeAdapter, ValidationError

from defectbench.config.shape_formats import LabelStudio
from defectbench.data.brush_rle import decode_brush
from defectbench.data.foreign_text import MAX_SHOWN, TextError, read_text, shorten
from defectbench.data.names import Names
from defectbench.data.preview import FIRST
from defectbench.data.readers.base import (
    BadLabels,
    LabelFileError,
    Note,
    Problem,
    image_ids,
    relative_path,
    rewritten,
)
from defectbench.data.readers.coco import compress_polygon
from defectbench.data.readers.parsed import Many, Parsed, describe_error
from defectbench.data.readers.shapes import Entry, Rle, Shape, ShapeLabels, draw_box, draw_ellipse, place_mask

_UPLOAD = re.compile("[0-9a-f]{8}-")
"""What Label Studio puts before the names of uploaded files."""
_ANSWERS = ("choices", "textarea", "rating", "number", "taxonomy", "datetime", "ranker", "pairwise", "relation")
"""Kinds of results that are no regions; any other that is not read is refused."""


class _Result(Parsed):
    id: int | str | None = None
    type: str
    value: dict[str, Any] = Field({})
    width: int | None = Field(None, alias="original_width")
    height: int | None = Field(None, alias="original_height")
    rotation: float = Field(0, alias="image_rotation")


class _Annotation(Parsed):
    id: int | str | None = None
    result: Many[_Result]
    skipped: bool = Field(False, alias="was_cancelled")
    ground_truth: bool | None = False
    updated_at: str = ""


class _Task(Parsed):
    id: int | str | None = None
    data: dict[str, Any]
    annotations: Many[_Annotation]


_TASKS: TypeAdapter[list[_Task]] = TypeAdapter(Many[_Task])


class LabelStudioLabels(ShapeLabels):
    """Labels of one or more exports; every image must have exactly one task."""

    def __init__(self, settings: LabelStudio) -> None:
        """Read the exports.

        Raises:
            LabelFileError: if one is no such file.
        """
        super().__init__(settings)
        self._boxes, self._several = settings.boxes, settings.several
        self._images = Names(image_ids(settings))
        self._by_name = _by_name(self._images.names)
        self._depth = max((len(PurePosixPath(name).parts) for name in self._images.names), default=0)
        self._entries: dict[str, Entry] = {}
        self._listed: dict[str, str] = {}
        self._dropped: dict[str, str] = {}
        for path in settings.label_files():
            for task in _parse(path):
                self._collect(task, relative_path(path, settings))
        self._note_folders()
        for image_id in self._images.names:
            if image_id not in self._listed and not settings.is_in_clean_folder(image_id):
                place = (PurePosixPath(settings.images_dir) / image_id).as_posix()
                self.problems.append(Problem(image_id, place, None, f"has no task in {settings.annotations}"))

    def _collect(self, task: _Task, file: str) -> None:
        what = f"task {task.id}"
        names = [name for name in task.data.values() if isinstance(name, str)]
        found = {image_id for name in names if (image_id := self._match(name))}
        if len(found) != 1:
            problem = f"names several images, {', '.join(sorted(found))}; only tasks of one are read"
            if not found:
                hints = [self._images.hint(_UPLOAD.sub("", _as_uploaded(_place(name)))) for name in names]
                shown = [shorten(name, MAX_SHOWN) for name in names[:FIRST]]
                problem = f"none of {shown} is an image of {self._settings.images_dir}{next(filter(None, hints), '')}"
            may_be_clean = bool(self._settings.clean_folders)
            self.problems.append(
                Problem(f"{file}, {what}", file, None, f"{what}: {problem}", always_stops=may_be_clean)
            )
            return
        image_id = found.pop()
        if image_id in self._listed:
            problem = f"{what}: image {image_id!r} has another task, in {self._listed[image_id]}"
            self.problems.append(Problem(image_id, file, None, problem))
            return
        self._listed[image_id] = file
        try:
            annotation = self._annotation(task, image_id)
            shapes, size = self._shapes(annotation)
        except ValueError as error:
            self.problems.append(Problem(image_id, file, None, f"{what}: {error}"))
        else:
            placed = [shape._replace(place=f"{what}, {shape.place}") for shape in shapes]
            said = [str(choice) for one in annotation.result for choice in _choices(one.value)]
            self._entries[image_id] = Entry(file, size, placed, said)

    def _match(self, name: str) -> str | None:
        """The image that a name in a task means: with all its folders, with fewer, or alone, if it is the only one."""
        parts = PurePosixPath(_place(name)).parts
        first = max(0, len(parts) - self._depth)  # no image has more folders
        paths = [list(parts[start:]) for start in range(first, len(parts))]
        stripped = [[*path[:-1], _UPLOAD.sub("", path[-1], count=1)] for path in paths if _UPLOAD.match(path[-1])]
        candidates = ["/".join(path) for path in (*paths, *stripped)]
        for candidate in candidates:
            if (image_id := self._images.find(candidate)) is not None:
                self._dropped[image_id] = "/".join(parts[: len(parts) - candidate.count("/") - 1])
                if candidate != image_id:
                    self.notes.append(rewritten(image_id, name, image_id))
                return image_id
        alone = {image_id for each in candidates for image_id in self._by_name.get(_as_uploaded(each), [])}
        if len(alone) != 1:
            return None
        image_id = alone.pop()
        self.notes.append(rewritten(image_id, name, image_id))
        return image_id

    def _note_folders(self) -> None:
        """Note the images whose address has other folders before their id than most have: it may be another image's."""
        usual = Counter(self._dropped.values()).most_common(1)
        self.notes += [
            rewritten(image_id, f"{folders}/{image_id}", image_id)
            for image_id, folders in self._dropped.items()
            if folders != usual[0][0]
        ]

    def _annotation(self, task: _Task, image_id: str) -> _Annotation:
        """The one annotation of a task that is read."""
        given = [annotation for annotation in task.annotations if not annotation.skipped]
        if not given:
            skipped = "was skipped by all annotators" if task.annotations else "has no annotation"
            raise ValueError(
                f"{skipped}, so the image is not known to be clean; label it, or take it out of images_dir"
            )
        if len(given) == 1:
            return given[0]
        truth = [annotation for annotation in given if annotation.ground_truth]
        newest = max(given, key=lambda annotation: annotation.updated_at)
        if len(truth) != 1 and self._several == "error":
            raise ValueError(
                f"has {len(given)} annotations; mark one as ground truth in Label Studio, or set several: newest"
            )
        taken = truth[0] if len(truth) == 1 else newest
        reason = "marked as ground truth" if len(truth) == 1 else f"changed last, {taken.updated_at}"
        detail = f"annotation {taken.id} of {len(given)}, {reason}"
        self.notes.append(Note(image_id, "one of several annotations", detail))
        return taken

    def _shapes(self, annotation: _Annotation) -> tuple[list[Shape], tuple[int, int] | None]:
        """The regions of an annotation, and height and width of the image that it was made for."""
        labels = {result.id: result.value.get("labels") for result in annotation.result if result.type == "labels"}
        regions = [result for result in annotation.result if result.type not in (*_ANSWERS, "labels")]
        if lacking := labels.keys() - {result.id for result in regions}:
            raise ValueError(f"result {lacking.pop()}: labels without a region")
        shapes: list[Shape] = []
        sizes = set()
        for number, result in enumerate(regions):
            kind = result.type.removesuffix("labels")
            place = f"result {result.id or number}"
            given = result.value.get(result.type) or result.value.get("labels") or labels.get(result.id)
            if not isinstance(given, list) or not given:
                raise ValueError(f"{place}: a {kind} without a label; give it one, or delete it")
            if result.height is None or result.width is None:
                raise ValueError(f"{place}: lacks original_height or original_width; export as JSON")
            if result.rotation % 360:
                raise ValueError(
                    f"{place}: drawn on the image turned by {result.rotation:g} degrees, which is not read"
                )
            sizes.add((result.height, result.width))
            shapes += [self._shape(place, str(label), kind, result.value) for label in given]
        if len(sizes) > 1:
            raise ValueError(f"regions are of images of different sizes, {sorted(sizes)}")
        return shapes, sizes.pop() if sizes else None

    def _shape(self, place: str, label: str, kind: str, value: dict[str, Any]) -> Shape:
        if kind == "brush" and isinstance(value.get("rle"), list):
            value = value | {"rle": _pack(value["rle"])}
        return Shape(place, None, label, lambda *size: self._draw(kind, value, *size))

    def _draw(self, kind: str, value: dict[str, Any], height: int, width: int) -> Rle:
        if kind not in _GEOMETRY:
            raise ValueError(f"a {kind} is not read; draw it with the brush or as a polygon")
        if kind == "rectangle" and self._boxes == "error":
            raise ValueError("a box, not an outline; 'boxes: fill' reads boxes as filled rectangles")
        try:
            return _draw(kind, value, height, width)
        except ValidationError as error:
            raise ValueError(f"{kind} cannot be read: {describe_error(error)}") from None

    def files(self) -> dict[str, str]:
        """Image id -> the export that has its task, relative to the root."""
        return self._listed

    def entry(self, image_id: str) -> Entry | None:
        """See :meth:`ShapeLabels.entry`."""
        clean = image_id not in self._listed and self._settings.is_in_clean_folder(image_id)
        if image_id not in self._entries and not clean:
            raise BadLabels([])  # reported already, in ``problems``
        return self._entries.get(image_id)


class _Brush(Parsed):
    format: str = "rle"
    rle: bytes | None = Field(strict=True)

    def draw(self, height: int, width: int) -> Rle:
        if self.rle is None:
            raise ValueError("rle must be a list of numbers from 0 to 255")
        return place_mask(decode_brush(self.rle, height, width), 0, 0, height, width)


class _Polygon(Parsed):
    points: Many[tuple[float, float]]
    closed: bool = True

    def draw(self, height: int, width: int) -> Rle:
        if not self.closed:
            raise ValueError("polygon is not closed; close it in Label Studio")
        return compress_polygon([(x * width / 100, y * height / 100) for x, y in self.points], height, width)


class _Ellipse(Parsed):
    x: float
    y: float
    rx: float = Field(alias="radiusX")
    ry: float = Field(alias="radiusY")
    rotation: float = 0

    def draw(self, height: int, width: int) -> Rle:
        centre, radii = (self.x * width / 100, self.y * height / 100), (self.rx * width / 100, self.ry * height / 100)
        return draw_ellipse(centre, radii, height, width, self.rotation)


class _Rectangle(Parsed):
    x: float
    y: float
    width: float
    height: float
    rotation: float = 0

    def draw(self, height: int, width: int) -> Rle:
        if self.rotation % 180:
            raise ValueError("a box that is rotated; draw it as a polygon")
        start = self.x * width / 100, self.y * height / 100
        return draw_box(
            start, (start[0] + self.width * width / 100, start[1] + self.height * height / 100), height, width
        )


_GEOMETRY: dict[str, type[_Brush | _Polygon | _Ellipse | _Rectangle]] = {
    "brush": _Brush,
    "polygon": _Polygon,
    "ellipse": _Ellipse,
    "rectangle": _Rectangle,
}


def _draw(kind: str, value: dict[str, Any], height: int, width: int) -> Rle:
    return _GEOMETRY[kind].model_validate(value).draw(height, width)


def _pack(numbers: list[Any]) -> bytes | None:
    """The numbers of a code as bytes, an eighth of the memory; None if they are not from 0 to 255."""
    try:
        return bytes(numbers)
    except (TypeError, ValueError):
        return None


def _choices(value: dict[str, Any]) -> list[Any]:
    """The choices of a result, if it is one of choices."""
    choices = value.get("choices")
    return choices if isinstance(choices, list) else []


def _place(name: str) -> str:
    """The path in a task's address: of an upload, a local file (its parameter d), or in a store."""
    try:
        address = urlsplit(name.replace("\\", "/"))
    except ValueError:  # as if an address began with an IP address
        return name.strip("/")
    path = parse_qs(address.query).get("d", [address.path])[0] if address.query else address.path
    return unquote(path).strip("/")


def _as_uploaded(path: str) -> str:
    """The name of a file as Label Studio writes that of an upload: without folders, and '_' for blanks."""
    return PurePosixPath(path).name.replace(" ", "_")


def _by_name(ids: list[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for image_id in ids:
        groups.setdefault(_as_uploaded(image_id), []).append(image_id)
    return groups


def _parse(path: Path) -> Iterator[_Task]:
    try:
        yield from _TASKS.validate_json(read_text(path))
    except (ValidationError, TextError) as error:
        message = f"{path}: not an export of Label Studio as JSON (JSON-MIN is not read): {describe_error(error)}"
        raise LabelFileError(message) from None
    except OSError as error:
        raise LabelFileError(f"{path}: cannot be read: {error.strerror}") from None


def read(settings: LabelStudio) -> LabelStudioLabels:
    """Read the exports of ``settings``; see :class:`LabelStudioLabels`."""
    return LabelStudioLabels(settings)

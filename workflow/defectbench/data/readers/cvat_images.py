"""Reader of CVAT for images 1.1: an XML file that lists images and, in each, shapes with a label.

Polygons are drawn by the rule of COCO, as CVAT's own exports to masks do. Shapes of several labels may overlap: a pixel
then belongs to each, whatever is on top. An image without shapes is clean, if its file has shapes at all.
"""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from xml.parsers import expat

import numpy as np

from defectbench.config.shape_formats import CvatImages
from defectbench.data.foreign_text import MAX_SHOWN, TextError, parse_number, parse_whole, read_text, shorten
from defectbench.data.names import Names
from defectbench.data.readers.base import (
    BadLabels,
    LabelFileError,
    Problem,
    image_ids,
    relative_path,
    rewritten,
    unlabelled_images,
)
from defectbench.data.readers.coco import compress_polygon
from defectbench.data.readers.shapes import Entry, Rle, Shape, ShapeLabels, draw_box, draw_ellipse, place_mask


class CvatLabels(ShapeLabels):
    """Labels of one or more XML files; every image must be listed in exactly one."""

    def __init__(self, settings: CvatImages) -> None:
        """Read the files.

        Raises:
            LabelFileError: if one is no such file.
        """
        super().__init__(settings)
        self._boxes = settings.boxes
        self._entries: dict[str, Entry] = {}
        self._images = Names(image_ids(settings))
        for path in settings.label_files():
            self._collect(path, relative_path(path, settings))
        for image_id in self._images.names:
            if image_id not in self._entries and not settings.is_in_clean_folder(image_id):
                place = (PurePosixPath(settings.images_dir) / image_id).as_posix()
                self.problems.append(Problem(image_id, place, None, f"is not listed in {settings.annotations}"))

    def _collect(self, path: Path, file: str) -> None:
        listed = []
        images = parse_images(path)
        for row, attributes, shapes in images:
            image_id = self._match(attributes)
            if image_id is None:
                name = attributes["name"]
                problem = (
                    f"image {shorten(name, MAX_SHOWN)!r} is not in {self._settings.images_dir}{self._images.hint(name)}"
                )
                may_be_clean = bool(self._settings.clean_folders)
                self.problems.append(Problem(name, file, row, problem, always_stops=may_be_clean))
            elif image_id in self._entries:
                problem = f"image {image_id!r} is listed twice, the first time in {self._entries[image_id].file}"
                self.problems.append(Problem(image_id, file, row, problem))
            else:
                listed.append(image_id)
                size = (parse_whole(attributes["height"]), parse_whole(attributes["width"]))
                said = [of_tag.get("label", "") for _, tag, of_tag in shapes if tag == "tag"]
                drawn = [self._shape(*shape) for shape in shapes if shape[1] != "tag"]
                self._entries[image_id] = Entry(file, size, drawn, said)
        if not any(shapes for _, _, shapes in images):
            self.problems += unlabelled_images(self._settings, listed, [], where=file)

    def _match(self, attributes: dict[str, str]) -> str | None:
        """The image of an entry: exports put those of a subset into a folder of its name."""
        name = PurePosixPath(attributes["name"]).as_posix()  # without './'
        candidates = [name, *([f"{attributes['subset']}/{name}"] if attributes.get("subset") else [])]
        if exact := next((each for each in candidates if each in self._images), None):
            return exact
        found = {image_id for image_id in map(self._images.find, candidates) if image_id}
        if len(found) != 1:
            return None
        image_id = found.pop()
        self.notes.append(rewritten(image_id, name, image_id))
        return image_id

    def _shape(self, row: int, tag: str, attributes: dict[str, str]) -> Shape:
        marks = [
            name.removeprefix(_ATTRIBUTE)
            for name, value in attributes.items()
            if name.startswith(_ATTRIBUTE) and value.strip().lower() == "true"
        ]
        return Shape(tag, row, attributes.get("label", ""), lambda *size: self._draw(tag, attributes, *size), marks)

    def _draw(self, tag: str, attributes: dict[str, str], height: int, width: int) -> Rle:
        if tag not in _DRAW:
            raise ValueError("has no area or is not read; draw it as a polygon or mask in CVAT, or delete it there")
        if tag == "box" and self._boxes == "error":
            raise ValueError("a box, not an outline; 'boxes: fill' reads boxes as filled rectangles")
        try:
            return _DRAW[tag](attributes, height, width)
        except KeyError as error:
            raise ValueError(f"lacks the attribute {error.args[0]}") from None

    def files(self) -> dict[str, str]:
        """Image id -> the file that lists it, relative to the root."""
        return {image_id: entry.file for image_id, entry in self._entries.items()}

    def entry(self, image_id: str) -> Entry | None:
        """See :meth:`ShapeLabels.entry`."""
        if image_id not in self._entries and not self._settings.is_in_clean_folder(image_id):
            raise BadLabels([])  # reported already, in ``problems``
        return self._entries.get(image_id)


def _draw_polygon(attributes: dict[str, str], height: int, width: int) -> Rle:
    points = [[parse_number(number) for number in pair.split(",")] for pair in attributes["points"].split(";") if pair]
    if any(len(point) != 2 for point in points):
        raise ValueError(f"points must be pairs 'x,y;x,y;...', got {shorten(attributes['points'])!r}")
    return compress_polygon(points, height, width)


def _draw_mask(attributes: dict[str, str], height: int, width: int) -> Rle:
    """A mask of run lengths, along the rows of its box, without and with the defect by turns."""
    left, top, columns, rows = (parse_whole(attributes[key]) for key in ("left", "top", "width", "height"))
    if columns < 1 or rows < 1 or columns > width or rows > height:
        raise ValueError(f"mask of {rows} x {columns} pixels does not fit into the image of {height} x {width}")
    runs = [parse_whole(number) for number in attributes["rle"].split(",")]
    if min(runs) < 0 or sum(runs) != rows * columns:
        raise ValueError(f"rle must be lengths from 0 up with the sum {rows} x {columns} = {rows * columns} pixels")
    part = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(rows, columns)
    return place_mask(part, top, left, height, width)


def _draw_ellipse(attributes: dict[str, str], height: int, width: int) -> Rle:
    x, y, rx, ry = (parse_number(attributes[key]) for key in ("cx", "cy", "rx", "ry"))
    return draw_ellipse((x, y), (rx, ry), height, width, parse_number(attributes.get("rotation", "0")))


def _draw_box(attributes: dict[str, str], height: int, width: int) -> Rle:
    if parse_number(attributes.get("rotation", "0")) % 180:
        raise ValueError("a box that is rotated; draw it as a polygon in CVAT")
    left, top, right, bottom = (parse_number(attributes[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
    return draw_box((left, top), (right, bottom), height, width)


_DRAW: dict[str, Callable[[dict[str, str], int, int], Rle]] = {
    "polygon": _draw_polygon,
    "mask": _draw_mask,
    "ellipse": _draw_ellipse,
    "box": _draw_box,
}

_Attributes = dict[str, str]
_Image = tuple[int, _Attributes, list[tuple[int, str, _Attributes]]]
"""Line, attributes and shapes of an image; line, tag and attributes of each shape."""
_ATTRIBUTE = "attribute "
"""Begins the names under which the attributes that people gave a shape are among those of XML, which have no blanks."""


def parse_images(path: Path) -> list[_Image]:
    """The images of an XML file, with their shapes.

    Raises:
        LabelFileError: if it cannot be read, or is no such file.
    """
    images: list[_Image] = []
    parser = expat.ParserCreate()
    tags: list[str] = []
    named: list[str] = []

    def start(tag: str, attributes: _Attributes) -> None:
        line = parser.CurrentLineNumber
        if not tags and tag != "annotations":
            raise TextError(f"row {line}: begins with <{tag}> where CVAT has <annotations>")
        if tag == "track":
            raise TextError(f"row {line}: has tracks of a video; export as 'CVAT for images 1.1'")
        if tag == "image":
            if lacking := [key for key in ("name", "width", "height") if key not in attributes]:
                raise TextError(f"row {line}: <image> lacks {', '.join(lacking)}")
            for key in ("width", "height"):
                parse_whole(attributes[key])
            images.append((line, attributes, []))
        elif tags[-1:] == ["image"]:
            images[-1][2].append((line, tag, attributes))
        elif tag == "attribute" and tags[-2:-1] == ["image"]:
            named[:] = [_ATTRIBUTE + attributes.get("name", "")]
        tags.append(tag)

    def read_value(text: str) -> None:
        if tags[-1:] == ["attribute"] and tags[-3:-2] == ["image"]:
            *_, attributes = images[-1][2][-1]
            attributes[named[0]] = attributes.get(named[0], "") + text

    def refuse(*_: Any) -> None:
        raise TextError("has a document type definition, which CVAT does not write")

    parser.StartElementHandler = start
    parser.CharacterDataHandler = read_value
    parser.EndElementHandler = lambda tag: tags.pop()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(read_text(path), True)
    except (expat.ExpatError, TextError) as error:
        raise LabelFileError(f"{path}: not a file of CVAT for images: {error}") from None
    except OSError as error:
        raise LabelFileError(f"{path}: cannot be read: {error.strerror}") from None
    return images


def read(settings: CvatImages) -> CvatLabels:
    """Read the XML files of ``settings``; see :class:`CvatLabels`."""
    return CvatLabels(settings)

"""Reader of COCO files: images, categories, and annotations with polygons or run-length codes, crowds included.

Polygons are drawn by pycocotools, whose rule they are made for: a point (x, y) is between pixels, and a pixel belongs
to the shape if its centre does. Only shapes that vanish by that rule, cracks thinner than a pixel, are drawn with their
outline (see :mod:`defectbench.data.polygons`). An image that a file lists without annotations is clean, if the file has
annotations at all.
"""

from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

from pycocotools import mask as coco
from pydantic import TypeAdapter, ValidationError

from defectbench.config.ingest import CocoFiles
from defectbench.data.foreign_text import MAX_SHOWN, TextError, read_text, shorten
from defectbench.data.names import Names
from defectbench.data.polygons import DegenerateError, PolygonError, check_points
from defectbench.data.readers.base import (
    BadLabels,
    LabelFileError,
    Note,
    Problem,
    empty_rle,
    image_ids,
    relative_path,
    rewritten,
    shapes_left_out,
    union_rle,
    unlabelled_images,
)
from defectbench.data.readers.parsed import Many, Parsed, describe_error
from defectbench.data.readers.shapes import draw_outlined
from defectbench.data.rle import coco_from_runs, runs_from_counts


class _Image(Parsed):
    id: int | str
    file_name: str
    height: int
    width: int


class _Category(Parsed):
    id: int | str
    name: str


class _Annotation(Parsed):
    id: int | str
    image_id: int | str
    category_id: int | str
    iscrowd: int = 0
    segmentation: Any = None  # checked with its image: a damaged one costs that image, not the file


class Coco(Parsed):
    """Content of a COCO file."""

    images: Many[_Image]
    annotations: Many[_Annotation]
    categories: Many[_Category]


class _Rle(Parsed):
    size: tuple[int, int]
    counts: Many[int] | str


CROWD = "crowd"
"""What ``ignore`` calls the annotations with iscrowd: 1; a category of this name is ignored too."""
_MAX_BITS = 60
"""Of a run length; without a limit, a damaged code takes hours."""
_SEGMENTATION: TypeAdapter[_Rle | list[list[float]]] = TypeAdapter(_Rle | Many[Many[float]])


class CocoLabels:
    """Labels of one or more COCO files; every image must be listed in exactly one."""

    def __init__(self, settings: CocoFiles) -> None:
        """Read the files and check ids, names and categories.

        Raises:
            LabelFileError: if a file is no COCO file, or no file has a category of the settings.
        """
        self.problems: list[Problem] = []
        self.notes: list[Note] = []
        self._n_classes = len(settings.classes)
        self._settings = settings
        folder = PurePosixPath(settings.images_dir)
        self._ids = {(folder / image_id).as_posix(): image_id for image_id in image_ids(settings)}
        self._names = Names(self._ids)
        # image id -> its file and entry there; image id -> (file, index of the class, annotation)
        self._entries: dict[str, tuple[str, _Image]] = {}
        self._annotations: dict[str, list[tuple[str, int, _Annotation]]] = defaultdict(list)
        names = {CROWD} if settings.ignore == CROWD else set()
        for path in settings.label_files():
            content = parse_coco(path)
            names |= {category.name for category in content.categories}
            images = self._collect_images(path, content.images)
            self._collect_annotations(path, content, images)
            if not content.annotations:
                ids = [image_id for image_id in images.values() if image_id in self._entries]
                self.problems += unlabelled_images(settings, ids, [], where=relative_path(path, settings))
        lacking = [name for name in settings.class_names if name not in names]
        if lacking:
            known = f"the categories are {sorted(names)}"
            raise LabelFileError(f"{settings.annotations}: {known}; dataset.classes has others: {lacking}")
        for place, image_id in self._ids.items():
            if image_id not in self._entries and not settings.is_in_clean_folder(image_id):
                self.problems.append(Problem(image_id, place, None, f"is not listed in {settings.annotations}"))

    def _collect_images(self, path: Path, images: list[_Image]) -> dict[int | str, str]:
        """Add the image entries of a file; returns id there -> image id in the project."""
        file = relative_path(path, self._settings)
        ids: dict[int | str, str] = {}
        for image in images:
            image_id = self._match(path, image.file_name)
            if image_id is None:
                hint = self._names.hint(image.file_name)
                problem = f"image {shorten(image.file_name, MAX_SHOWN)!r} is not in {self._settings.images_dir}{hint}"
                may_be_clean = bool(self._settings.clean_folders)
                self.problems.append(Problem(image.file_name, file, None, problem, always_stops=may_be_clean))
                ids.setdefault(image.id, image.file_name)
                continue
            if image.id in ids:
                problem = f"images {shorten(ids[image.id])!r} and {image_id!r} share the id {image.id}"
                self.problems += [Problem(sample, file, None, problem) for sample in (ids[image.id], image_id)]
            if image_id in self._entries:
                problem = f"image {image_id!r} is listed twice, in {self._entries[image_id][0]} and {file}"
                self.problems.append(Problem(image_id, file, None, problem))
            ids.setdefault(image.id, image_id)
            self._entries[image_id] = (file, image)
        return ids

    def _match(self, path: Path, file_name: str) -> str | None:
        """The image with a file name of the COCO file ``path``: below ``images_dir``, or beside the COCO file."""
        beside = PurePosixPath(relative_path(path.parent, self._settings))
        names = [(folder / file_name).as_posix() for folder in (PurePosixPath(self._settings.images_dir), beside)]
        if exact := next((name for name in names if name in self._names), None):
            return self._ids[exact]
        found = {name for name in map(self._names.find, names) if name}
        if len(found) != 1:
            return None
        image_id = self._ids[found.pop()]
        self.notes.append(rewritten(image_id, file_name, image_id))
        return image_id

    def _collect_annotations(self, path: Path, content: Coco, images: dict[int | str, str]) -> None:
        file = relative_path(path, self._settings)
        names = {category.id: category.name for category in content.categories}
        classes = self._settings.class_names
        seen: dict[int | str, str] = {}
        for annotation in content.annotations:
            what = f"annotation {annotation.id}"
            sample = images.get(annotation.image_id)
            ignores = annotation.iscrowd and self._settings.ignore == CROWD
            name = CROWD if ignores else names.get(annotation.category_id)
            if sample is None:
                # Whose label this is is unknown, and a listed image without annotations would be clean.
                problem = f"{what}: the file has no image {annotation.image_id}"
                sample = f"{file}, image {annotation.image_id}"
                self.problems.append(Problem(sample, file, None, problem, always_stops=True))
            elif annotation.id in seen:
                problem = f"{what}: this id is used more than once"
                self.problems += [Problem(each, file, None, problem) for each in {seen[annotation.id], sample}]
            elif name not in classes:
                known = f"{shorten(name)!r} is not in classes: {', '.join(classes)}" if name else "is not in categories"
                problem = f"{what}: category {annotation.category_id} {known}"
                self.problems.append(Problem(sample, file, None, problem))
            else:
                seen[annotation.id] = sample
                self._annotations[sample].append((file, classes.index(name), annotation))

    def files(self) -> dict[str, str]:
        """Image id -> the COCO file that lists it, relative to the root."""
        return {image_id: file for image_id, (file, _) in self._entries.items()}

    def size(self, image_id: str) -> tuple[int, int] | None:
        """See :meth:`defectbench.data.readers.base.Labels.size`."""
        if image_id not in self._entries:
            return None
        _, entry = self._entries[image_id]
        return entry.height, entry.width

    def rles(self, image_id: str, height: int, width: int) -> list[bytes]:
        """See :meth:`defectbench.data.readers.base.Labels.rles`."""
        if image_id not in self._entries:
            if self._settings.is_in_clean_folder(image_id):
                return [empty_rle(height, width)] * self._n_classes
            raise BadLabels([])  # reported already, in ``problems``
        file, entry = self._entries[image_id]
        if (entry.height, entry.width) != (height, width):
            problem = f"image {image_id!r} is {height} x {width}, but {entry.height} x {entry.width} here"
            raise BadLabels([Problem(image_id, file, None, problem)])
        parts: list[list[dict[str, Any]]] = [[] for _ in range(self._n_classes)]
        problems: list[Problem] = []
        left_out: list[str] = []
        for file, index, annotation in self._annotations.get(image_id, []):
            what = f"annotation {annotation.id}: "
            try:
                shapes = compress_segmentation(annotation.segmentation, height, width)
                parts[index] += [shape for shape in shapes if isinstance(shape, dict)]
                left_out += [f"{what}{shape}" for shape in shapes if isinstance(shape, DegenerateError)]
            except (ValueError, PolygonError) as error:
                problems.append(Problem(image_id, file, None, f"{what}{error}"))
        if problems:
            raise BadLabels(problems)
        self.notes += shapes_left_out(image_id, file, left_out, none_left=not any(parts))
        return [union_rle(of_class, height, width) for of_class in parts]


def parse_coco(path: Path) -> Coco:
    """The parts of a COCO file that are needed here.

    Raises:
        LabelFileError: if it cannot be read, or is no COCO file.
    """
    try:
        content = Coco.model_validate_json(read_text(path))
    except (ValidationError, TextError) as error:
        raise LabelFileError(f"{path}: not a COCO file: {describe_error(error)}") from None
    except OSError as error:
        raise LabelFileError(f"{path}: cannot be read: {error.strerror}") from None
    ids = [category.id for category in content.categories]
    if len(set(ids)) < len(ids):
        raise LabelFileError(f"{path}: two categories share an id: {ids}")
    return content


def compress_segmentation(segmentation: Any, height: int, width: int) -> list[dict[str, Any] | DegenerateError]:
    """One annotation of an image as pycocotools' RLE: one of each polygon, or why it is left out, or of its code."""
    if not segmentation:
        raise ValueError("has no segmentation; boxes alone are not read")
    try:
        shape = _SEGMENTATION.validate_python(segmentation)
    except ValidationError as error:
        raise ValueError(f"segmentation is neither polygons nor RLE: {describe_error(error)}") from None
    if isinstance(shape, _Rle):
        return [_check_rle(shape, height, width)]
    return [_draw(numbers, height, width) for numbers in shape]


def _draw(numbers: list[float], height: int, width: int) -> dict[str, Any] | DegenerateError:
    if len(numbers) % 2:
        raise ValueError(f"polygon has {len(numbers)} numbers; it needs pairs of x and y")
    try:
        return compress_polygon(numbers, height, width)
    except DegenerateError as error:
        return error


def compress_polygon(points: Any, height: int, width: int) -> dict[str, Any]:
    """A polygon, x and y by turns, as pycocotools' RLE, by the rule of COCO.

    Raises:
        PolygonError: see :func:`defectbench.data.polygons.check_points`.
    """
    points = check_points(points, height, width)
    (rle,) = coco.frPyObjects([points.ravel().tolist()], height, width)
    return rle if coco.area(rle) else draw_outlined(points, height, width)


def _check_rle(rle: _Rle, height: int, width: int) -> dict[str, Any]:
    if rle.size != (height, width):
        raise ValueError(f"RLE is for {rle.size[0]} x {rle.size[1]} pixels, its image has {height} x {width}")
    counts = _unpack(rle.counts) if isinstance(rle.counts, str) else rle.counts
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError(f"RLE counts must not be negative and must add up to {height} x {width} pixels")
    return {"size": [height, width], "counts": coco_from_runs(runs_from_counts(counts), height, width)}


def _unpack(text: str) -> list[int]:
    """Run lengths of a compressed code; pycocotools would read beyond the end of a damaged one.

    Every character has 6 bits, from '0' up: 5 of a number, lowest first, and one if more follow. From the
    fourth on, numbers are differences to the number before the last.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - ord("0")
        if not 0 <= bits < 64:
            raise ValueError(f"RLE counts cannot contain the character {character!r}")
        value |= (bits & 31) << shift
        shift += 5
        if shift > _MAX_BITS:
            raise ValueError("RLE counts have a number that is too large")
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("RLE counts are cut short")
    return counts


def read(settings: CocoFiles) -> CocoLabels:
    """Read the COCO files of ``settings``; see :class:`CocoLabels`."""
    return CocoLabels(settings)

"""What readers of formats with shapes share: polygons, boxes, ellipses and bitmaps, each with the name of its class."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from defectbench.config.dataset import DatasetSettings
from defectbench.data.names import Names
from defectbench.data.polygons import DegenerateError, PolygonError, check_points, draw_part
from defectbench.data.preview import preview_list
from defectbench.data.readers.base import BadLabels, Note, Problem, Rle, shapes_left_out, union_rle
from defectbench.data.rle import coco_from_runs, join_touching, runs_from_mask


class Shape(NamedTuple):
    """A labelled shape."""

    place: str
    """Its position in the file."""
    row: int | None
    """Line in the file, counted from 1; None where that says nothing."""
    label: str
    draw: Callable[[int, int], Rle]
    """Its mask in an image of the given height and width; raises ValueError or PolygonError."""
    marks: Sequence[str] = ()
    """Names of its attributes or flags that are set: one may be what the settings ignore."""


class Entry(NamedTuple):
    """All that a file says of an image."""

    file: str
    """Relative to the dataset's root."""
    size: tuple[int, int] | None
    """Height and width of the image that the labels were made for; None if they do not say."""
    shapes: list[Shape]
    said: Sequence[str] = ()
    """Labels of the image as a whole: tags, flags, choices."""


class ShapeLabels(ABC):
    """Labels that list the shapes of each image."""

    def __init__(self, settings: DatasetSettings) -> None:
        """Begin without problems and notes."""
        self.problems: list[Problem] = []
        self.notes: list[Note] = []
        self._settings = settings
        self._classes = Names(settings.class_names)

    @abstractmethod
    def entry(self, image_id: str) -> Entry | None:
        """The labels of an image; None if it has none because it is clean.

        Raises:
            BadLabels: if they cannot be read.
        """

    def size(self, image_id: str) -> tuple[int, int] | None:
        """See :meth:`defectbench.data.readers.base.Labels.size`."""
        entry = self.entry(image_id)
        return entry.size if entry else None

    def rles(self, image_id: str, height: int, width: int) -> list[bytes]:
        """See :meth:`defectbench.data.readers.base.Labels.rles`."""
        entry = self.entry(image_id) or Entry("", None, [])
        if entry.size not in (None, (height, width)):
            problem = "labels are for {} x {} pixels, their image has {} x {}".format(*entry.size, height, width)
            raise BadLabels([Problem(image_id, entry.file, None, problem)])
        if not entry.shapes and (without := [label for label in entry.said if label in self._classes]):
            problem = f"the image as a whole is called {preview_list(without)}, but no shape shows where it is"
            raise BadLabels([Problem(image_id, entry.file, None, problem)])
        parts: dict[str, list[Rle]] = {name: [] for name in self._settings.class_names}
        problems, left_out, ignore = [], [], self._settings.ignore
        for shape in entry.shapes:
            try:
                label = str(ignore) if ignore in shape.marks else shape.label
                self._check_class(label)
                parts[label].append(shape.draw(height, width))
            except DegenerateError as error:
                left_out.append(f"{shape.place}: {error}")
            except (ValueError, PolygonError) as error:
                problems.append(Problem(image_id, entry.file, shape.row, f"{shape.place}: {error}"))
        if problems:
            raise BadLabels(problems)
        self.notes += shapes_left_out(image_id, entry.file, left_out, none_left=not any(parts.values()))
        return [union_rle(of_class, height, width) for of_class in parts.values()]

    def _check_class(self, label: str) -> None:
        if label not in self._classes:
            known = ", ".join(self._settings.class_names)
            raise ValueError(f"class {label!r} is not in classes: {known}{self._classes.hint(label)}")


def draw_outlined(points: Any, height: int, width: int) -> Rle:
    """A polygon whose outline belongs to it, by the rule of :mod:`defectbench.data.polygons`.

    Raises:
        PolygonError: see :func:`defectbench.data.polygons.check_points`.
    """
    return place_mask(*draw_part([check_points(points, height, width)], height, width), height, width)


def draw_box(start: tuple[float, float], end: tuple[float, float], height: int, width: int) -> Rle:
    """The box between two corners, x and y in pixels; its edges are between pixels, and it covers at least one.

    Raises:
        ValueError: if it is empty or leaves the image by more than a pixel.
    """
    low, high = np.minimum(start, end), np.maximum(start, end)
    if not ((high > low) & (low >= -1) & (high <= [width + 1, height + 1])).all():
        corners = " to ".join(f"({x:g}, {y:g})" for x, y in (start, end))
        raise ValueError(f"box is empty or leaves the image: {corners}, image {height} x {width}")
    left, top = np.clip(np.rint(low), 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(np.rint(high), [left + 1, top + 1], [width, height]).astype(int)
    columns = height * np.arange(left, right)
    counts = coco_from_runs(join_touching(np.stack([columns + top, columns + bottom], axis=1)), height, width)
    return {"size": [height, width], "counts": counts}


def draw_ellipse(
    centre: tuple[float, float], radii: tuple[float, float], height: int, width: int, degrees: float = 0
) -> Rle:
    """The pixels whose centre is inside an ellipse, in pixels, turned clockwise; what is outside the image is cut off.

    Raises:
        DegenerateError: if it covers no pixel.
        ValueError: if it is outside the image, a number is not finite or a radius negative.
    """
    if not np.isfinite([*centre, *radii, degrees]).all() or min(radii) < 0:
        raise ValueError(f"ellipse needs finite numbers and radii from 0 up, got {centre}, {radii}, {degrees}")
    reach = max(radii)
    left, top = np.clip(np.floor(np.array(centre) - reach), 0, [width, height]).astype(int)
    right, bottom = np.clip(np.ceil(np.array(centre) + reach), 0, [width, height]).astype(int)
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    x = np.arange(left, right) + 0.5 - centre[0]
    inside = np.zeros((max(bottom - top, 0), max(right - left, 0)), bool)
    for row, of_row in enumerate(inside):  # row by row, so that little memory is needed beside the mask
        y = top + row + 0.5 - centre[1]
        along, across = x * cosine + y * sine, y * cosine - x * sine
        of_row[:] = (along * radii[1]) ** 2 + (across * radii[0]) ** 2 <= (radii[0] * radii[1]) ** 2
    if not inside.any():
        if not (0 <= centre[0] <= width and 0 <= centre[1] <= height):
            raise ValueError(f"ellipse is outside the image: centre {centre}, image {height} x {width}")
        raise DegenerateError("ellipse covers no pixel")
    return place_mask(inside, top, left, height, width)


def place_mask(part: np.ndarray, top: int, left: int, height: int, width: int) -> Rle:
    """The mask of an image of which ``part``, (H, W), non-zero = defect, begins in row ``top`` and column ``left``.

    Raises:
        ValueError: if it leaves the image.
    """
    bottom, right = top + part.shape[0], left + part.shape[1]
    if left < 0 or top < 0 or bottom > height or right > width:
        place = f"rows {top} to {bottom - 1}, columns {left} to {right - 1}"
        raise ValueError(f"mask leaves the image: {place}, image {height} x {width}")
    columns = np.zeros((height, part.shape[1]), bool)
    columns[top:bottom] = part
    counts = coco_from_runs(runs_from_mask(columns) + left * height, height, width)
    return {"size": [height, width], "counts": counts}

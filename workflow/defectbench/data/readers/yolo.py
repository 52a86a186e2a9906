"""Reader of YOLO labels: a text file per image, a line per object, coordinates as shares of the image's sides.

``class x1 y1 x2 y2 ...`` is a polygon (see :mod:`defectbench.data.polygons`); ``class cx cy w h`` is a box.
An image without a file, or with an empty one, is clean.
"""

from pathlib import Path

import numpy as np
import yaml
from pydantic import ValidationError

from defectbench.config.ingest import YoloFolder
from defectbench.data.polygons import PolygonError, check_points, draw_polygons
from defectbench.data.readers.base import BadLabels, DrawnLabels, LabelFileError, Problem, image_ids, relative_path
from defectbench.data.readers.parsed import Parsed, describe_error


class _DataYaml(Parsed, coerce_numbers_to_str=True):
    names: list[str] | dict[int, str]


class YoloLabels(DrawnLabels):
    """Labels of a YOLO dataset."""

    def __init__(self, settings: YoloFolder) -> None:
        """Check the class names and look for label files without an image.

        Raises:
            LabelFileError: if the file of class names cannot be read, or does not match the settings.
        """
        _check_names(settings)
        self._settings = settings
        self._class_index = {str(value): index for index, value in enumerate(settings.class_values)}
        folder = settings.root / settings.images_dir
        self._files = {image_id: settings.label_file(folder / image_id) for image_id in image_ids(settings)}
        orphans = sorted(set(settings.text_files()) - set(self._files.values()))
        files = [relative_path(path, settings) for path in orphans]
        self.problems = [Problem(file, file, None, "label file has no image") for file in files]

    def masks(self, image_id: str, height: int, width: int) -> np.ndarray:
        """See :meth:`defectbench.data.readers.base.DrawnLabels.masks`."""
        path = self._files[image_id]
        masks = np.zeros((len(self._class_index), height, width), dtype=np.uint8)
        problems = []
        for row, line in enumerate(self._lines(image_id, path), start=1):
            try:
                self._add(masks, line.split())
            except (ValueError, PolygonError) as error:
                problems.append(Problem(image_id, relative_path(path, self._settings), row, str(error)))
        if problems:
            raise BadLabels(problems)
        return masks

    def _lines(self, image_id: str, path: Path) -> list[str]:
        try:
            return path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            reason = error.strerror
        except UnicodeDecodeError:
            reason = "not UTF-8 text"
        problem = f"label file cannot be read: {reason}"
        raise BadLabels([Problem(image_id, relative_path(path, self._settings), None, problem)])

    def _add(self, masks: np.ndarray, words: list[str]) -> None:
        """Add the object of one line, split into ``words``, to ``masks``."""
        if not words:
            return
        if words[0] not in self._class_index:
            raise ValueError(f"class {words[0]!r} is not in classes: {', '.join(self._class_index)}")
        mask = masks[self._class_index[words[0]]]
        shares = np.array([float(word) for word in words[1:]])
        if len(shares) == 4:
            self._add_box(mask, shares)
        elif len(shares) >= 6 and len(shares) % 2 == 0:
            height, width = mask.shape
            mask |= draw_polygons([check_points(shares.reshape(-1, 2) * [width, height], height, width)], height, width)
        else:
            raise ValueError(f"{len(shares)} coordinates; a box has 4, a polygon an even number from 6 up")

    def _add_box(self, mask: np.ndarray, shares: np.ndarray) -> None:
        if self._settings.boxes == "error":
            raise ValueError("a box, not a polygon; 'boxes: fill' reads boxes as filled rectangles")
        height, width = mask.shape
        centre, size = shares.reshape(2, 2) * [width, height]
        start, end = centre - size / 2, centre + size / 2
        if not ((size > 0) & (start >= -1) & (end <= [width + 1, height + 1])).all():
            raise ValueError(f"box is empty or leaves the image: {' '.join(f'{share:g}' for share in shares)}")
        # The edges of a box are between pixels; a box that is not empty covers at least one.
        left, top = np.clip(np.rint(start), 0, [width - 1, height - 1]).astype(int)
        right, bottom = np.rint(end).astype(int)
        mask[top : max(bottom, top + 1), left : max(right, left + 1)] = 1


def _check_names(settings: YoloFolder) -> None:
    path = settings.root / settings.data_yaml
    try:
        names = _DataYaml.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).names
    except ValidationError as error:
        raise LabelFileError(f"{path}: {describe_error(error)}") from None
    except Exception as error:  # PyYAML raises many kinds for damaged files
        raise LabelFileError(f"{path}: cannot be read: {error}") from None
    known = names if isinstance(names, dict) else dict(enumerate(names))
    if any(known.get(value) != name for value, name in settings.classes.items()):
        raise LabelFileError(f"{path}: the classes are {known}, but dataset.classes says {settings.classes}")


def read(settings: YoloFolder) -> YoloLabels:
    """Match the label files of ``settings`` with its images; see :class:`YoloLabels`."""
    return YoloLabels(settings)

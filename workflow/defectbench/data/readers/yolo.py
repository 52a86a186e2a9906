"""Reader of YOLO labels: a text file per image, a line per object, coordinates as shares of the image's sides.

``class x1 y1 x2 y2 ...`` is a polygon (see :mod:`defectbench.data.polygons`); ``class cx cy w h`` is a box.
An image with an empty file is clean, and one without a file too, if another image of its folder has one.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
from pydantic import ValidationError

from defectbench.config.ingest import YoloFolder
from defectbench.data.foreign_text import TextError, parse_number, parse_whole, read_text, shorten
from defectbench.data.names import normal_form
from defectbench.data.polygons import DegenerateError, PolygonError, add_polygons, check_points
from defectbench.data.preview import preview_names
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
    shared_files,
    unlabelled_images,
)
from defectbench.data.readers.parsed import Parsed, describe_error, parse_yaml
from defectbench.walk import is_inside

Part = TypeVar("Part", bound=Parsed)


class _DataYaml(Parsed):
    names: list[str] | dict[int, str]


class _Places(Parsed):
    """Folders of images, or lists of them, by role; there may be none of a role."""

    train: list[str] | str = ""
    val: list[str] | str = ""
    test: list[str] | str = ""


class YoloLabels(DrawnLabels):
    """Labels of a YOLO dataset."""

    def __init__(self, settings: YoloFolder) -> None:
        """Check the class names, and match label files with images.

        Raises:
            LabelFileError: if the file of class names cannot be read, or does not match the settings.
        """
        _check_names(settings)
        self.problems: list[Problem] = []
        self.notes: list[Note] = []
        self._settings = settings
        self._class_index = {value: index for index, value in enumerate(settings.class_values)}
        self._files = self._match(image_ids(settings))

    def _match(self, ids: list[str]) -> dict[str, str]:
        """Image id -> its label file, relative to the root; what finds no partner is a problem."""
        folder = self._settings.root / self._settings.images_dir
        expected = {one: relative_path(self._settings.label_file(folder / one), self._settings) for one in ids}
        files = [relative_path(path, self._settings) for path in self._settings.text_files()]
        pairs, orphans = pair_files(expected, files, self.notes)
        for file, hint in orphans.items():
            # Whose labels these are is unknown, and an image without labels would be clean.
            self.problems.append(Problem(file, file, None, f"label file has no image{hint}", always_stops=True))
        self.problems += shared_files(pairs)
        self.problems += unlabelled_images(self._settings, ids, pairs)
        return pairs

    def size(self, image_id: str) -> None:
        """See :meth:`defectbench.data.readers.base.Labels.size`; shares of the sides do not say."""

    def masks(self, image_id: str, height: int, width: int) -> np.ndarray:
        """See :meth:`defectbench.data.readers.base.DrawnLabels.masks`."""
        masks = np.zeros((len(self._class_index), height, width), dtype=np.uint8)
        if image_id not in self._files:
            return masks
        file = self._files[image_id]
        problems, left_out = [], []
        for row, line in enumerate(self._lines(image_id, file), start=1):
            try:
                self._add(masks, line.split())
            except DegenerateError as error:
                left_out.append(f"row {row}: {error}")
            except (ValueError, PolygonError) as error:
                problems.append(Problem(image_id, file, row, str(error)))
        if problems:
            raise BadLabels(problems)
        self.notes += shapes_left_out(image_id, file, left_out, none_left=not masks.any())
        return masks

    def _lines(self, image_id: str, file: str) -> list[str]:
        try:
            return read_text(self._settings.root / file).splitlines()
        except OSError as error:
            reason = str(error.strerror)
        except TextError as error:
            reason = str(error)
        raise BadLabels([Problem(image_id, file, None, f"label file cannot be read: {reason}")])

    def _add(self, masks: np.ndarray, words: list[str]) -> None:
        """Add the object of one line, split into ``words``, to ``masks``."""
        if not words:
            return
        index = self._index(words[0])
        shares = np.array([parse_number(word) for word in words[1:]])
        mask = masks[index]
        if len(shares) == 4:
            self._add_box(mask, shares)
        elif len(shares) >= 2 and len(shares) % 2 == 0:
            height, width = mask.shape
            add_polygons(mask, [check_points(shares.reshape(-1, 2) * [width, height], height, width)])
        else:
            raise ValueError(f"{len(shares)} coordinates; a box has 4, a polygon an even number from 6 up")

    def _index(self, word: str) -> int:
        try:
            return self._class_index[parse_whole(word)]
        except (TextError, KeyError):
            known = ", ".join(map(str, self._class_index))
            raise ValueError(f"class {shorten(word)!r} is not in classes: {known}") from None

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


def read_names(path: Path) -> dict[int, str]:
    """The names of the classes in a file such as ``data.yaml``, by their numbers.

    Raises:
        LabelFileError: if it cannot be read, or has no names.
    """
    names = _parse(_DataYaml, path).names
    return names if isinstance(names, dict) else dict(enumerate(names))


def _parse(kind: type[Part], path: Path) -> Part:
    try:
        return kind.model_validate(parse_yaml(read_text(path)))
    except ValidationError as error:
        raise LabelFileError(f"{path}: {describe_error(error)}") from None
    except Exception as error:  # PyYAML raises many kinds for damaged files
        raise LabelFileError(f"{path}: cannot be read: {error}") from None


def listed_roles(settings: YoloFolder) -> dict[str, str]:
    """Image id -> train, val or test, by the file of class names; see :func:`read_roles`."""
    folder = PurePosixPath(settings.images_dir)
    ids = {(folder / image_id).as_posix(): image_id for image_id in image_ids(settings)}
    return {ids[image]: role for image, role in read_roles(settings.root / settings.data_yaml, ids).items()}


def read_roles(path: Path, images: Iterable[str]) -> dict[str, str]:
    """Image -> train, val or test by the folders, or lists of images, that a file such as ``data.yaml`` gives them.

    ``images`` are relative to its folder. Those in no folder and no list have no role; none has one where all roles
    have the same images, as in files that say nothing of roles.

    Raises:
        LabelFileError: if the file, or a list in it, cannot be read, or if some images have several roles.
    """
    images = list(images)
    places = _parse(_Places, path).model_dump()
    of_role = {
        role: set().union(*(_images_at(path, one, images) for one in ([at] if isinstance(at, str) else at) if one))
        for role, at in places.items()
    }
    found = [of_images for of_images in of_role.values() if of_images]
    if all(of_images == found[0] for of_images in found[1:]):
        return {} if len(found) != 1 else dict.fromkeys(found[0], next(role for role in of_role if of_role[role]))
    roles: dict[str, str] = {}
    for role, of_images in of_role.items():
        if both := of_images & roles.keys():
            several = preview_names(sorted(both), "image(s)")
            raise LabelFileError(f"{path}: {role} has images that {roles[min(both)]} has too: {several}")
        roles |= dict.fromkeys(of_images, role)
    return roles


def _images_at(path: Path, place: str, images: Sequence[str]) -> set[str]:
    """The ``images`` in a folder, or in a list of paths, that is named in the file ``path``."""
    # Some tools write the folders as seen from one of them: ../train/images.
    parts = [part for part in PurePosixPath(place.replace("\\", "/")).parts if part not in ("..", ".")]
    if not place.endswith(".txt"):
        return {image for image in images if image.startswith("".join(f"{part}/" for part in parts))}
    file = path.parent.joinpath(*parts)
    if not is_inside(file, path.parent):
        raise LabelFileError(f"{path}: the list {place} is outside of its folder, and is not read: put it there")
    try:
        lines = [normal_form(line.strip()) for line in read_text(file).splitlines() if line.strip()]
    except OSError as error:
        raise LabelFileError(f"{path}: the list {place} cannot be read: {error.strerror}") from None
    except TextError as error:
        raise LabelFileError(f"{file}: {error}") from None
    by_name: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        by_name[PurePosixPath(line).name].append(f"/{line}")
    forms = {image: normal_form(image) for image in images}
    return {
        image
        for image, form in forms.items()
        if any(line.endswith(f"/{form}") for line in by_name[PurePosixPath(form).name])
    }


def _check_names(settings: YoloFolder) -> None:
    path = settings.root / settings.data_yaml
    known = read_names(path)
    if any(known.get(value) != name for value, name in settings.classes.items()):
        raise LabelFileError(f"{path}: the classes are {known}, but dataset.classes says {settings.classes}")


def read(settings: YoloFolder) -> YoloLabels:
    """Match the label files of ``settings`` with its images; see :class:`YoloLabels`."""
    return YoloLabels(settings)

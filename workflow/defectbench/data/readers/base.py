"""Interface of the label readers, and what they share."""

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

import numpy as np
from pycocotools import mask as coco

from defectbench.config.dataset import DatasetSettings
from defectbench.data.names import Names
from defectbench.data.preview import preview_list
from defectbench.data.rle import coco_from_runs, encode_coco
from defectbench.script import UserError

Rle = dict[str, Any]
"""A mask as pycocotools has it: size and counts."""
_MERGED = 16


class Problem(NamedTuple):
    """A problem of one sample."""

    sample: str
    """Id of the image that cannot be used; for a label without an image, the id that its image would have."""
    file: str
    """File with the mistake, relative to the dataset's root."""
    row: int | None
    """Line in that file, counted from 1 with the header; None where a file has no lines."""
    problem: str
    always_stops: bool = False
    """Whether it is a label that finds no image, while any image without a label counts as clean: never set aside."""


class Note(NamedTuple):
    """Something in the data that was read, but not as it stands there, or passed over; it excludes no image."""

    sample: str
    """Id of the image; a file or folder relative to the dataset's root, where it is of no image."""
    finding: str
    """Kind: a key of defectbench.data.audit.FINDINGS."""
    detail: str


class LabelFileError(UserError):
    """A label file that cannot be read at all."""


class BadLabels(Exception):  # noqa: N818 - no error of the run: ingest collects these
    """The labels of one image cannot be used."""

    def __init__(self, problems: list[Problem]) -> None:
        """Keep ``problems``, all of the same sample."""
        super().__init__(problems)
        self.problems = problems


class Labels(Protocol):
    """The labels of a dataset."""

    problems: list[Problem]
    """Problems that are known without reading the images."""
    notes: list[Note]
    """Complete when the labels of all images have been read."""

    def size(self, image_id: str) -> tuple[int, int] | None:
        """Height and width of the image that the labels were made for; None if they do not say.

        Raises:
            BadLabels: if the labels cannot be read.
        """

    def rles(self, image_id: str, height: int, width: int) -> list[bytes]:
        """Masks of one image of the given size as compressed COCO counts, classes in class order.

        May be called from several threads.

        Raises:
            BadLabels: if they cannot be used.
        """


class DrawnLabels(ABC):
    """Labels whose pixels must be drawn."""

    @abstractmethod
    def masks(self, image_id: str, height: int, width: int) -> np.ndarray:
        """As :meth:`rles`, but as (C, H, W) uint8, values 0 and 1."""

    def rles(self, image_id: str, height: int, width: int) -> list[bytes]:
        """See :meth:`Labels.rles`."""
        masks = self.masks(image_id, height, width)
        return [encode_coco(mask) if mask.any() else empty_rle(height, width) for mask in masks]


@lru_cache
def empty_rle(height: int, width: int) -> bytes:
    """Compressed COCO counts of a mask without a defect: most masks are empty, and encoding them takes time."""
    return coco_from_runs(np.empty((0, 2), np.int64), height, width)


def union_rle(parts: Sequence[Rle], height: int, width: int) -> bytes:
    """Compressed COCO counts of the pixels that are in any of ``parts``, masks of an image of the given size."""
    if not parts:
        return empty_rle(height, width)
    while len(parts) > 1:  # a few at a time, since each is merged with all before it
        parts = [coco.merge(list(parts[first : first + _MERGED])) for first in range(0, len(parts), _MERGED)]
    return parts[0]["counts"]


def image_ids(settings: DatasetSettings) -> list[str]:
    """Ids of all images, sorted: their paths below ``images_dir``, with '/' and suffix."""
    folder = settings.root / settings.images_dir
    return sorted(path.relative_to(folder).as_posix() for path in settings.image_files())


def relative_path(path: Path, settings: DatasetSettings) -> str:
    """``path`` as in issues.csv: relative to the dataset's root, with '/'."""
    return path.relative_to(settings.root).as_posix()


def pair_files(
    expected: Mapping[str, str], files: Iterable[str], notes: list[Note]
) -> tuple[dict[str, str], dict[str, str]]:
    """Give each image its label file.

    Args:
        expected: Image id -> name that its label file should have.
        files: Names of the label files on disk.
        notes: Pairs whose names are written differently are added here.

    Returns:
        Image id -> name of its file, and name of each file without an image -> end of a message: what may be meant.
        Images that expect the same file all get it.
    """
    names = Names(files)
    pairs = {image_id: name for image_id, name in expected.items() if name in names}
    free = Names(set(names.names) - set(pairs.values()))
    others = {image_id: name for image_id, name in expected.items() if image_id not in pairs} if free.names else {}
    found = {image_id: free.find(name) for image_id, name in others.items()}
    uses = Counter(found.values())
    for image_id, name in found.items():
        if name is not None and uses[name] == 1:
            pairs[image_id] = name
            notes.append(rewritten(image_id, name, others[image_id]))
    unlabelled = Names(name for image_id, name in others.items() if image_id not in pairs)
    return pairs, {name: unlabelled.hint(name) for name in sorted(set(names.names) - set(pairs.values()))}


def shared_files(pairs: Mapping[str, str]) -> list[Problem]:
    """Problems of the images that share a label file with others, by ``pairs`` of :func:`pair_files`."""
    images, problems = defaultdict(list), []
    for image_id, file in pairs.items():
        images[file].append(image_id)
    for file, sharing in images.items():
        problem = f"is the label file of {len(sharing)} images, {', '.join(sharing)}: it is unclear of which"
        problems += [Problem(one, file, None, problem) for one in sharing if len(sharing) > 1]
    return problems


def rewritten(sample: str, name: str, expected: str) -> Note:
    """The note that something of an image has a ``name`` that is written otherwise than expected."""
    return Note(sample, "name written differently", f"{name!r} was taken for {expected!r}")


def unlabelled_images(
    settings: DatasetSettings, ids: Iterable[str], labelled: Iterable[str], where: str = "its folder"
) -> list[Problem]:
    """Problems of the images in folders where not one image has a label: whether they are clean nobody said.

    ``labelled`` are the ids of all images that have a label, be it that there is no defect.
    """
    said = {PurePosixPath(image_id).parent for image_id in labelled}
    problem = (
        f"no image of {where} has a label, so it is not known to be clean; label them, take them out of images_dir, or,"
        " if they are clean, add their folder to clean_folders"
    )
    return [
        Problem(image_id, (PurePosixPath(settings.images_dir) / image_id).as_posix(), None, problem)
        for image_id in ids
        if PurePosixPath(image_id).parent not in said and not settings.is_in_clean_folder(image_id)
    ]


def shapes_left_out(image_id: str, file: str, places: Sequence[str], none_left: bool) -> list[Note]:
    """The note that shapes of an image, at ``places`` of ``file``, were left out because they are degenerate."""
    if not places:
        return []
    rest = "; none is left, so the image counts as clean" if none_left else ""
    return [Note(image_id, "shape left out", f"{len(places)} in {file}: {preview_list(places)}{rest}")]

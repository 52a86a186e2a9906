"""Interface of the label readers."""

from abc import ABC, abstractmethod
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from defectbench.config.dataset import DatasetSettings
from defectbench.data.rle import coco_from_runs, encode_coco
from defectbench.script import UserError


class Problem(NamedTuple):
    """A problem of one sample."""

    sample: str
    """Id of the image that cannot be used; for a label without an image, the id that its image would have."""
    file: str
    """File with the mistake, relative to the dataset's root."""
    row: int | None
    """Line in that file, counted from 1 with the header; None where a file has no lines."""
    problem: str


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


def image_ids(settings: DatasetSettings) -> list[str]:
    """Ids of all images, sorted: their paths below ``images_dir``, with '/' and suffix."""
    folder = settings.root / settings.images_dir
    return sorted(path.relative_to(folder).as_posix() for path in settings.image_files())


def relative_path(path: Path, settings: DatasetSettings) -> str:
    """``path`` as in issues.csv: relative to the dataset's root, with '/'."""
    return path.relative_to(settings.root).as_posix()

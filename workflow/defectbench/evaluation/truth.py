"""Predictions joined with the truth, streamed, one role at a time.

The types keep val and test apart: :class:`ValidationData` is the only thing that calibration accepts, and it cannot
be made from test predictions.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd

from defectbench.config.base import MERGED
from defectbench.data.manifest import Manifest, read_manifest
from defectbench.data.packing import ImagePack
from defectbench.data.preview import preview_names
from defectbench.data.tables import read_names
from defectbench.inference.prediction_file import PredictionFile
from defectbench.script import UserError

COLUMNS = ["image_id", "height", "width", "sha256", "rle"]


class EvaluationError(UserError):
    """Predictions that do not fit the images they are scored on."""


class Truth:
    """True masks, groups and roles of all images of a split."""

    def __init__(self, manifest: Manifest, split: pd.DataFrame) -> None:
        """Join a manifest (columns COLUMNS at least) and a split (image_id, role, group).

        Raises:
            EvaluationError: if the split names images that the manifest does not have, or a class has the name of
                the union of all classes.
        """
        if MERGED in manifest.class_names:
            raise EvaluationError(f"no class may be called {MERGED!r}: that is the name of the union of all classes")
        self.manifest = manifest
        self.class_names = manifest.class_names
        self._rows = {row.image_id: row for row in manifest.frame.itertuples(index=False)}
        self.groups = dict(zip(split["image_id"], split["group"], strict=True))
        self._roles = split.groupby("role")["image_id"].agg(sorted).to_dict()
        unknown = [image_id for image_id in self.groups if image_id not in self._rows]
        if unknown:
            raise EvaluationError(f"the split has {preview_names(unknown, 'image(s)')} that the manifest does not have")

    def ids(self, role: str) -> list[str]:
        """Ids of the images of a role, sorted."""
        return self._roles.get(role, [])

    def masks(self, image_id: str, classes: tuple[str, ...] | None = None) -> np.ndarray:
        """True masks of one image, (C, H, W) bool, classes in the order of ``class_names``.

        For the ``classes`` (MERGED,), of a model of any defect, their union, (1, H, W).
        """
        masks = self.manifest.masks(self._rows[image_id]).view(bool)
        return merge_masks(masks)[None] if classes == (MERGED,) else masks

    def ignored(self, image_id: str) -> np.ndarray | None:
        """Pixels of one image that nobody decided, (H, W) bool, and of no class; None if the dataset marks none."""
        if not self.manifest.has_ignored:
            return None
        return self.manifest.ignored(self._rows[image_id]).view(bool)

    def count_ignored(self, role: str) -> int | None:
        """Number of ignored pixels in the images of a role; None if the dataset marks none."""
        if not self.manifest.has_ignored:
            return None
        return sum(int(self.manifest.ignored(self._rows[image_id]).sum()) for image_id in self.ids(role))


def read_truth(manifest: Path, split: Path) -> Truth:
    """Read manifest.parquet and split.csv."""
    table = read_names(split)
    return Truth(read_manifest(manifest, columns=COLUMNS), table)


class Sample(NamedTuple):
    """One image with prediction and truth, classes as in the prediction file's header."""

    image_id: str
    group: str
    classes: tuple[str, ...]
    codes: np.ndarray
    """(C, H, W) uint16; 0, surely no defect, where pixels are ignored"""
    truth: np.ndarray
    """(C, H, W) bool; for a map of any defect the union of all classes, (1, H, W)"""
    image: np.ndarray | None
    """(H, W) or (H, W, 3) uint8; None if no pack of images was given"""
    ignored: np.ndarray | None = None
    """(H, W) bool: pixels that nobody decided; None if the dataset marks none"""

    @property
    def n_ignored(self) -> int:
        """Number of pixels that take part in nothing."""
        return 0 if self.ignored is None else int(np.count_nonzero(self.ignored))

    @property
    def n_pixels(self) -> int:
        """Number of the other pixels."""
        return self.truth[0].size - self.n_ignored


class RolePredictions:
    """All predictions of one role, complete, each image once; iterating streams them as :class:`Sample`."""

    role: ClassVar[str]

    def __init__(self, predictions: PredictionFile, truth: Truth, images: ImagePack | None = None) -> None:
        """Join ``predictions`` with ``truth`` and, for post-processing that needs them, with ``images``.

        Raises:
            EvaluationError: if they are of another role, of other classes, or not of exactly this role's images.
        """
        self.header = predictions.header
        self.truth = truth
        self.images = images
        self.ids = truth.ids(self.role)
        if self.header.defective_only:
            self.ids = [image_id for image_id in self.ids if truth.masks(image_id).any()]
        self.predictions = predictions
        if self.header.role != self.role:
            raise EvaluationError(
                f"{predictions.path}: {self.role} predictions are needed, these are {self.header.role} predictions"
            )
        if self.header.classes not in ((MERGED,), truth.class_names):
            raise EvaluationError(
                f"{predictions.path}: predicts {self.header.classes}, the manifest has {truth.class_names}"
            )
        _check_ids(predictions, self.ids, self.role)

    def __iter__(self) -> Iterator[Sample]:
        """Stream the images in the order of the file.

        Raises:
            EvaluationError: if the size of a map is not its image's.
        """
        for image_id, codes in self.predictions:
            truth = self.true_masks(image_id)
            if codes.shape[1:] != truth.shape[1:]:
                raise EvaluationError(
                    f"{self.predictions.path}: {image_id}: the map is {codes.shape[1:]}, the image {truth.shape[1:]}"
                )
            image = None if self.images is None else self.images[image_id]
            ignored = self.truth.ignored(image_id)
            if ignored is not None:
                codes = np.where(ignored, np.uint16(0), codes)
            yield Sample(image_id, self.truth.groups[image_id], self.header.classes, codes, truth, image, ignored)
            del codes, truth, image, ignored  # not kept beside the next image's

    def true_masks(self, image_id: str) -> np.ndarray:
        """True masks of one image, (C, H, W) bool, classes as in the header; for a map of any defect their union."""
        return self.truth.masks(image_id, self.header.classes)


class ValidationData(RolePredictions):
    """Predictions and truth of the val images: thresholds may be chosen on them."""

    role = "val"


class HeldOutData(RolePredictions):
    """Predictions and truth of the test images: only ever scored."""

    role = "test"


def ids_sha256(ids: Iterable[str]) -> str:
    """SHA-256 of a set of image ids, whatever their order."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def merge_masks(masks: np.ndarray) -> np.ndarray:
    """Union (H, W) bool of ``masks`` (C, H, W) bool."""
    return masks[0] if len(masks) == 1 else np.logical_or.reduce(masks, axis=0)


def merge_maps(maps: np.ndarray) -> np.ndarray:
    """Maximum (H, W) of ``maps`` (C, H, W) uint16."""
    return maps[0] if len(maps) == 1 else maps.max(axis=0)


def _check_ids(predictions: PredictionFile, expected: list[str], role: str) -> None:
    predicted = Counter(predictions.image_ids())
    wrong = {
        "missing": set(expected) - set(predicted),
        f"not in {role}": set(predicted) - set(expected),
        "more than once": {image_id for image_id, times in predicted.items() if times > 1},
    }
    problems = [f"{what}: {preview_names(sorted(ids), 'image(s)')}" for what, ids in wrong.items() if ids]
    if problems:
        raise EvaluationError(f"{predictions.path}: not exactly the split's {role} images: {'; '.join(problems)}")

"""Weighted mean of the maps of several models, and joining of prediction files.

Probabilities are averaged, not logits: a linear pool, as the winners of Severstal's competition used it. In a mean of
logits one overconfident member has a veto, since logits are unbounded; in a mean of probabilities it has its weight.
Both the mean of p and the mean of 1 - p are computed, so that maps with p within rounding of 0 or 1 keep their ranking:
identical members give exactly their own map.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from defectbench.inference.prediction_file import (
    PredictionFile,
    PredictionFileError,
    PredictionHeader,
    write_predictions,
)
from defectbench.metrics.codes import HALF, N_CODES, STEPS_PER_LOGIT

_LOGITS = (np.arange(N_CODES) - HALF) / STEPS_PER_LOGIT
# Probability of a defect, and of none, by code. The smallest is exp(-64) = 1.6e-28: float32 has it.
_DEFECT = (1 / (1 + np.exp(-_LOGITS))).astype(np.float32)
_NO_DEFECT = (1 / (1 + np.exp(_LOGITS))).astype(np.float32)
_NO_MORE = ("", np.empty((0, 0, 0), np.uint16))
"""Image id and codes after the last image of a file."""


def mean_codes(maps: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """Codes of the weighted mean probability of ``maps``, uint16 arrays of one shape; same shape, uint16.

    ``weights`` are not negative and need not add up to 1; equal ones if not given.
    """
    defect, no_defect = (np.zeros(maps[0].shape, np.float32) for _ in range(2))
    for codes, weight in zip(maps, [1.0] * len(maps) if weights is None else weights, strict=True):
        for total, table in ((defect, _DEFECT), (no_defect, _NO_DEFECT)):
            probabilities = table[codes]
            if weight != 1:
                probabilities *= np.float32(weight)
            total += probabilities
    defect /= no_defect
    logits = np.log(defect, out=defect)
    logits *= STEPS_PER_LOGIT
    logits += HALF
    np.rint(logits, out=logits)
    return np.clip(logits, 0, N_CODES - 1, out=logits).astype(np.uint16)


class MeanPredictor:
    """The mean of several predictors as one predictor."""

    def __init__(self, members: Sequence[Callable[[np.ndarray], np.ndarray]], weights: Sequence[float]) -> None:
        """``members`` map an image to codes (C, H, W), all of the same classes."""
        self.members = members
        self.weights = weights

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Codes (C, H, W) of a uint8 image (H, W) or (H, W, 3)."""
        return mean_codes([member(image) for member in self.members], self.weights)


def write_mean(paths: Sequence[Path], weights: Sequence[float], out: Path, role: str) -> int:
    """Write the mean of the prediction files ``paths``, of the same images in the same order.

    One image is in memory at a time, so the peak does not grow with their number. Members of weight 0 are not read.
    Returns the number of images.

    Raises:
        PredictionFileError: if the files differ in classes, images, order or sizes, or hold no scores.
    """
    members = [(path, weight) for path, weight in zip(paths, weights, strict=True) if weight > 0]
    files = [PredictionFile(path) for path, _ in members]
    # Members with oracle prompts have predicted no clean image, so their mean has none either.
    defective_only = all(file.header.defective_only for file in files)
    header = PredictionHeader(role, common_classes(files), True, defective_only)
    n_images = 0
    with write_predictions(out, header) as writer:
        for image_id, maps in iterate_aligned(files):
            writer.add(image_id, mean_codes(maps, [weight for _, weight in members]))
            n_images += 1
    return n_images


def iterate_aligned(files: Sequence[PredictionFile]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yield (image_id, codes (C, H, W) of every file), streamed.

    Raises:
        PredictionFileError: if the files differ in images, order or sizes.
    """
    for entries in itertools.zip_longest(*files, fillvalue=_NO_MORE):
        first_id, first = entries[0]
        for file, (image_id, codes) in zip(files, entries, strict=True):
            if image_id != first_id:
                raise PredictionFileError(
                    f"{file.path} has {image_id or 'no more images'} where {files[0].path} has "
                    f"{first_id or 'no more images'}: an ensemble needs predictions of the same images in one order"
                )
            if codes.shape != first.shape:
                raise PredictionFileError(
                    f"{file.path}: {image_id}: the map is {codes.shape}, in {files[0].path} {first.shape}"
                )
        yield first_id, [codes for _, codes in entries]


def write_joined(paths: Sequence[Path], out: Path, role: str) -> list[list[str]]:
    """Write the images of several prediction files, each sorted by id, into one sorted file, streamed.

    Returns the image ids of each file.

    Raises:
        PredictionFileError: if the files differ in classes, hold no scores, are not sorted, or share an image.
    """
    files = [PredictionFile(path) for path in paths]
    header = PredictionHeader(role, common_classes(files), has_scores=True)
    ids = [file.image_ids() for file in files]
    for file, file_ids in zip(files, ids, strict=True):
        if file_ids != sorted(file_ids):
            raise PredictionFileError(f"{file.path}: its images are not sorted by id: predict again")
    repeated = sum(map(len, ids)) - len(set().union(*ids))
    if repeated:
        raise PredictionFileError(f"{', '.join(map(str, paths))}: {repeated} image(s) were predicted by several models")
    with write_predictions(out, header) as writer:
        for image_id, codes in heapq.merge(*files, key=lambda entry: entry[0]):
            writer.add(image_id, codes)
    return ids


def common_classes(files: Sequence[PredictionFile]) -> tuple[str, ...]:
    """The classes that all ``files`` predict.

    Raises:
        PredictionFileError: if they differ, or a file holds binary maps, whose mean is not a probability.
    """
    for file in files:
        if not file.header.has_scores:
            raise PredictionFileError(f"{file.path}: holds no scores, only binary maps, which cannot be averaged")
        if file.header.classes != files[0].header.classes:
            raise PredictionFileError(
                f"{file.path} predicts {', '.join(file.header.classes)}, {files[0].path} predicts "
                f"{', '.join(files[0].header.classes)}: give all members the same task"
            )
    return files[0].header.classes

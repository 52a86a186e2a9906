"""Connected components of masks: scores, matching of predicted and true ones, and clusters."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from defectbench.data.rle import runs_from_mask
from defectbench.metrics.boundary import TOLERANCE, disc

_GROW = disc(TOLERANCE)
_ONE = np.ones((), np.int8)


@dataclass(frozen=True)
class Components:
    """The 8-connected components of a mask, N of them, numbered roughly from the top down.

    Kept as runs of pixels along rows, R of them: an array of labels takes four bytes for every pixel of the image.
    """

    shape: tuple[int, int]
    """height and width of the mask"""
    runs: np.ndarray
    """(R, 2) int64, in order: start and end (exclusive) of each run, pixels numbered along the rows; none spans two"""
    of_run: np.ndarray
    """(R,) int32: the component of each run"""
    areas: np.ndarray
    """(N,) int32, pixels"""

    def __len__(self) -> int:
        """N."""
        return len(self.areas)

    @cached_property
    def boxes(self) -> np.ndarray:
        """(N, 4) int32: x, y, width, height."""
        rows, left = np.divmod(self.runs[:, 0], self.shape[1])
        corners = np.stack([left, rows, left + self.runs[:, 1] - self.runs[:, 0], rows + 1]).astype(np.int32)
        first, last = np.full((2, len(self)), max(self.shape), np.int32), np.zeros((2, len(self)), np.int32)
        for axis in (0, 1):
            np.minimum.at(first[axis], self.of_run, corners[axis])
            np.maximum.at(last[axis], self.of_run, corners[axis + 2])
        return np.concatenate([first, last - first]).T

    def mask(self, chosen: np.ndarray | None = None) -> np.ndarray:
        """Draw all, or those ``chosen`` (N,) bool, as one mask (H, W) bool."""
        runs = self.runs if chosen is None else self.runs[chosen[self.of_run]]
        return _draw(runs, _ONE, self.shape).view(bool)

    def labels(self) -> np.ndarray:
        """Draw each, (H, W) int32: 0 outside, i + 1 in component i."""
        return _draw(self.runs, self.of_run + 1, self.shape)

    def parts(self) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
        """Yield each component's box, rows and columns, and the mask of the component there, bool."""
        by_component = self.runs[np.argsort(self.of_run, kind="stable")]
        ends = np.cumsum(np.bincount(self.of_run, minlength=len(self)))
        for (x, y, width, height), start, end in zip(self.boxes.tolist(), [0, *ends], ends, strict=False):
            runs = by_component[start:end]
            rows = runs[:, :1] // self.shape[1]
            inside = runs - rows * (self.shape[1] - width) - y * width - x
            yield (slice(y, y + height), slice(x, x + width)), _draw(inside, _ONE, (height, width)).view(bool)


def find_components(mask: np.ndarray) -> Components:
    """Find the 8-connected components of ``mask``, (H, W) bool."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return Components(mask.shape, np.zeros((0, 2), np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32))
    inner = mask[y : y + height, x : x + width]
    runs = find_runs(inner)
    n, labels = cv2.connectedComponents(inner.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    of_run = labels.ravel()[runs[:, 0]] - 1
    areas = np.bincount(of_run, weights=runs[:, 1] - runs[:, 0], minlength=n - 1).astype(np.int32)
    runs += runs[:, :1] // width * (mask.shape[1] - width) + y * mask.shape[1] + x
    return Components(mask.shape, runs, of_run, areas)


def find_runs(mask: np.ndarray) -> np.ndarray:
    """Runs of ``mask``, (H, W) bool, along rows: (R, 2) int64, see :class:`Components`."""
    # A column between the rows, so that no run goes on in the next one.
    apart = cv2.copyMakeBorder(mask.view(np.uint8), 0, 0, 0, 1, cv2.BORDER_CONSTANT, value=0)
    runs = runs_from_mask(apart.T)
    return runs - runs[:, :1] // apart.shape[1]


def _draw(runs: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Array of a ``shape`` with ``values``, one of each of ``runs`` or of all, and 0 elsewhere."""
    steps = np.zeros(shape[0] * shape[1] + 1, values.dtype)
    steps[runs[:, 0]] = values
    steps[runs[:, 1]] -= values  # where one ends and another begins, both count
    return np.cumsum(steps[:-1], dtype=steps.dtype, out=steps[:-1]).reshape(shape)


def highest_codes(components: Components, codes: np.ndarray) -> np.ndarray:
    """Score of each component, (N,): the highest of ``codes``, (H, W) unsigned, inside it."""
    highest = np.zeros(len(components), dtype=codes.dtype)
    if len(components):
        first, end = components.runs[0, 0], components.runs[-1, 1]
        edges = components.runs.ravel()[:-1] - first
        np.maximum.at(highest, components.of_run, np.maximum.reduceat(codes.ravel()[first:end], edges)[::2])
    return highest


def count_inside(components: Components, runs: np.ndarray) -> np.ndarray:
    """Pixels of each component, (N,) int64, that are in the mask of which ``runs`` are the :func:`find_runs`."""
    own, _, pixels = _share_pixels(components.runs, runs)
    return np.bincount(components.of_run[own], weights=pixels, minlength=len(components)).astype(np.int64)


def match_components(
    predicted: Components, true: Components, scores: np.ndarray, min_iou: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pair predicted with true components, one to one, greedily by descending score of the predicted ones.

    Each predicted component in turn takes the free true component with the highest IoU, if that is at least
    ``min_iou``; of equal scores (N,) the higher IoU goes first. Cutting the scores at any value leaves the pairs above
    the cut as they are.

    Returns:
        For each predicted component the index of its true one, (N,) int32, -1 where it has none; and the IoU of the
        pair, (N,) float64, NaN where there is none.
    """
    matched, ious = np.full(len(predicted), -1, np.int32), np.full(len(predicted), np.nan)
    if not (len(predicted) and len(true)):
        return matched, ious
    p, t, iou = _overlapping(predicted, true)
    matching = iou >= min_iou
    p, t, iou = p[matching], t[matching], iou[matching]
    taken = np.zeros(len(true), dtype=bool)
    for pair in np.lexsort((t, p, -iou, -scores[p].astype(np.int64))):
        if matched[p[pair]] < 0 and not taken[t[pair]]:
            matched[p[pair]], ious[p[pair]] = t[pair], iou[pair]
            taken[t[pair]] = True
    return matched, ious


def assign_clusters(mask: np.ndarray, components: Components) -> np.ndarray:
    """Number of the cluster of each of the ``components`` of ``mask``, (H, W) bool: (N,) int32.

    Components belong to one cluster if they meet when all grow by 2 px, the tolerance of boundaries: annotators and
    networks break a crack there at random, so its pieces cannot be counted one by one.
    """
    _, labels = cv2.connectedComponents(cv2.dilate(mask.view(np.uint8), _GROW), connectivity=8)
    cluster = np.zeros(len(components), dtype=np.int32)
    cluster[components.of_run] = labels.ravel()[components.runs[:, 0]] - 1
    return cluster


def _overlapping(predicted: Components, true: Components) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of predicted and true components that share pixels, and their IoU."""
    own, other, pixels = _share_pixels(predicted.runs, true.runs)
    pairs = predicted.of_run[own].astype(np.int64) * len(true) + true.of_run[other]
    pairs, pair = np.unique(pairs, return_inverse=True)
    shared = np.bincount(pair, weights=pixels, minlength=len(pairs)).astype(np.int64)
    p, t = np.divmod(pairs, len(true))
    return p, t, shared / (predicted.areas[p].astype(np.int64) + true.areas[t] - shared)


def _share_pixels(runs: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of runs and of other runs that share pixels, and how many these are."""
    (starts, ends), (other_starts, other_ends) = runs.T, others.T
    first = np.searchsorted(other_ends, starts, side="right")
    n = np.searchsorted(other_starts, ends, side="left") - first
    own = np.repeat(np.arange(len(n)), n)
    other = np.arange(len(own)) + np.repeat(first - np.cumsum(n) + n, n)
    return own, other, np.minimum(ends[own], other_ends[other]) - np.maximum(starts[own], other_starts[other])

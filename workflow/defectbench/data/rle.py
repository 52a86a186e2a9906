"""Run-length codes of masks: Severstal's text in label files, COCO's bytes inside the project.

Both are converted through runs, (N, 2) int64: start and end (exclusive) of each run of defect pixels, numbered from 0
down the columns first; in order, and never touching, so that a mask has one description. Properties of runs, areas and
bounds for instance, need no pixels.
"""

import re

import cv2
import numpy as np
from pycocotools import mask as coco

from defectbench.script import UserError

_PLAIN = re.compile("[0-9][0-9 ]*")
_CHARACTERS = np.frombuffer(bytes(range(256)), np.uint8).astype(np.int64) - ord("0")


class RleError(UserError):
    """A run-length code that does not describe a mask of the given size."""


def runs_from_severstal(text: str, height: int, width: int) -> np.ndarray:
    """Runs of 'start length start length ...', pixels numbered from 1, of an image of the given size.

    Raises:
        RleError: if the code is malformed, leaves the image, or its runs overlap or are out of order.
    """
    numbers = _whole_numbers(text)
    if len(numbers) % 2:
        raise RleError(f"RLE must hold pairs 'start length', but has {len(numbers)} numbers")
    starts, lengths = numbers[::2], numbers[1::2]
    # Numbers beyond the image first: the sums below could overflow.
    beyond = (numbers < 1) | (numbers > height * width)
    starts, ends = starts - 1, starts - 1 + lengths
    if beyond.any() or (ends > height * width).any() or (starts[1:] < ends[:-1]).any():
        raise RleError(_explain(numbers.tolist(), height, width))
    return join_touching(np.stack([starts, ends], axis=1))


def _whole_numbers(text: str) -> np.ndarray:
    if _PLAIN.fullmatch(text):
        return np.fromstring(text, dtype=np.int64, sep=" ")  # stops at other characters without an error
    try:
        return np.array([int(word) for word in text.split()], dtype=np.int64)
    except (ValueError, OverflowError):
        raise RleError(f"RLE must hold whole numbers only, got {text[:40]!r}") from None


def _explain(numbers: list[int], height: int, width: int) -> str:
    """Problem of the first bad run of 'start length ...'."""
    previous_end = 0
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        run = f"RLE run '{start} {length}'"
        if start < 1:
            return f"{run} starts before pixel 1"
        if length < 1:
            return f"{run} has a length below 1"
        if start - 1 + length > height * width:
            return f"{run} ends beyond the image of {height} x {width} = {height * width} pixels"
        if start <= previous_end:
            return f"{run} overlaps an earlier run or is out of order: the run before it ends at pixel {previous_end}"
        previous_end = start - 1 + length
    raise AssertionError(f"no bad run in {numbers[:10]}")


def join_touching(runs: np.ndarray) -> np.ndarray:
    """``runs``, in order and none empty, with touching ones joined."""
    apart = runs[1:, 0] > runs[:-1, 1]
    if apart.all():
        return runs
    return np.stack([runs[np.r_[True, apart], 0], runs[np.r_[apart, True], 1]], axis=1)


def runs_from_counts(counts: list[int]) -> np.ndarray:
    """Runs of uncompressed COCO ``counts``: pixels without and with a defect by turns, none negative."""
    edges = np.cumsum(counts, dtype=np.int64)
    runs = edges[: len(edges) // 2 * 2].reshape(-1, 2)
    return join_touching(runs[runs[:, 0] < runs[:, 1]])


def severstal_from_runs(runs: np.ndarray) -> str:
    """The inverse of :func:`runs_from_severstal`; no runs give ''."""
    return " ".join(map(str, np.stack([runs[:, 0] + 1, runs[:, 1] - runs[:, 0]], axis=1).ravel().tolist()))


def coco_from_runs(runs: np.ndarray, height: int, width: int) -> bytes:
    """Compressed COCO counts of ``runs`` in an image of the given size."""
    counts = np.diff(runs.ravel(), prepend=0, append=height * width)
    if counts[-1] == 0:
        counts = counts[:-1]
    return coco.frPyObjects({"counts": counts.tolist(), "size": [height, width]}, height, width)["counts"]


def runs_from_coco(counts: bytes) -> np.ndarray:
    """Runs of compressed COCO ``counts``, which must be complete: nothing is checked.

    Every character has 6 bits, from '0' up: 5 of a number, lowest first, and one if more follow. From the
    fourth on, numbers are differences to the number before the last.
    """
    bits = _CHARACTERS[np.frombuffer(counts, np.uint8)]
    last = np.flatnonzero(bits < 32)
    first = np.r_[0, last[:-1] + 1]
    digit = np.arange(len(bits)) - np.repeat(first, last - first + 1)
    numbers = np.add.reduceat((bits & 31) << 5 * digit, first)
    numbers -= np.where(bits[last] & 16, 1 << 5 * (last - first + 1), 0)  # the highest bit is the sign
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    edges = np.cumsum(numbers)
    return edges[: len(edges) // 2 * 2].reshape(-1, 2)


def runs_from_mask(mask: np.ndarray) -> np.ndarray:
    """Runs of ``mask``, (H, W) bool or uint8 with non-zero = defect."""
    flat = np.zeros(mask.size + 2, dtype=bool)
    flat[1:-1] = mask.ravel(order="F")
    return np.flatnonzero(flat[1:] != flat[:-1]).reshape(-1, 2)


def draw_runs(runs: np.ndarray, height: int, width: int) -> np.ndarray:
    """Mask of ``runs``: (height, width) uint8, values 0 and 1, columns contiguous in memory."""
    flat = np.zeros(height * width, dtype=np.uint8)
    for start, end in runs.tolist():
        flat[start:end] = 1
    return flat.reshape((height, width), order="F")


def encode_severstal(mask: np.ndarray) -> str:
    """Write ``mask``, (H, W) bool or uint8 with non-zero = defect, as 'start length start length ...'."""
    return severstal_from_runs(runs_from_mask(mask))


def decode_severstal(text: str, height: int, width: int) -> np.ndarray:
    """Read 'start length start length ...': (height, width) uint8, values 0 and 1.

    Raises:
        RleError: as :func:`runs_from_severstal`.
    """
    return draw_runs(runs_from_severstal(text, height, width), height, width)


def encode_coco(mask: np.ndarray) -> bytes:
    """Compressed COCO counts of ``mask``, (H, W) bool or uint8 with non-zero = defect."""
    return coco.encode(np.asfortranarray((mask != 0).view(np.uint8)))["counts"]


def decode_coco(counts: bytes, height: int, width: int) -> np.ndarray:
    """Read counts written by :func:`encode_coco`: (height, width) uint8, values 0 and 1, rows contiguous in memory."""
    runs = runs_from_coco(counts)
    mask = np.zeros((height, width), dtype=np.uint8)
    if len(runs):
        # Turning columns into rows takes the time: only columns with defects are turned.
        left, right = int(runs[0, 0]) // height, -(-int(runs[-1, 1]) // height)
        mask[:, left:right] = cv2.transpose(draw_runs(runs - left * height, height, right - left).T)
    return mask


def coco_area(counts: bytes, height: int, width: int) -> int:
    """Pixels of the mask of compressed COCO ``counts``."""
    return int(coco.area({"counts": counts, "size": [height, width]}))

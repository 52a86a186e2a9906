"""Run-length codes of masks: Severstal's text in label files, COCO's bytes inside the project."""

import numpy as np
from pycocotools import mask as coco

from defectbench.script import UserError


class RleError(UserError):
    """A run-length code that does not describe a mask of the given size."""


def encode_severstal(mask: np.ndarray) -> str:
    """Write ``mask``, (H, W) bool or uint8 with non-zero = defect, as 'start length start length ...'.

    Pixels are numbered from 1, down the columns first. An empty mask gives ''.
    """
    flat = np.zeros(mask.size + 2, dtype=bool)
    flat[1:-1] = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    starts, ends = edges[::2], edges[1::2]
    return " ".join(map(str, np.column_stack([starts + 1, ends - starts]).ravel().tolist()))


def decode_severstal(text: str, height: int, width: int) -> np.ndarray:
    """Read a code written by :func:`encode_severstal`: (height, width) uint8, values 0 and 1.

    Raises:
        RleError: if the code is malformed, leaves the image, or its runs overlap or are out of order.
    """
    try:
        numbers = [int(word) for word in text.split()]
    except ValueError:
        raise RleError(f"RLE must hold whole numbers only, got {text[:40]!r}") from None
    if len(numbers) % 2:
        raise RleError(f"RLE must hold pairs 'start length', but has {len(numbers)} numbers")
    flat = np.zeros(height * width, dtype=np.uint8)
    previous_end = 0
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        end = start - 1 + length
        if start < 1 or length < 1 or start <= previous_end or end > flat.size:
            raise RleError(_explain(start, length, previous_end, height, width))
        flat[start - 1 : end] = 1
        previous_end = end
    return flat.reshape((height, width), order="F")


def _explain(start: int, length: int, previous_end: int, height: int, width: int) -> str:
    run = f"RLE run '{start} {length}'"
    if start < 1:
        return f"{run} starts before pixel 1"
    if length < 1:
        return f"{run} has a length below 1"
    if start - 1 + length > height * width:
        return f"{run} ends beyond the image of {height} x {width} = {height * width} pixels"
    return f"{run} overlaps an earlier run or is out of order: the run before it ends at pixel {previous_end}"


def encode_coco(mask: np.ndarray) -> bytes:
    """Compressed COCO counts of ``mask``, (H, W) bool or uint8 with non-zero = defect."""
    return coco.encode(np.asfortranarray(mask != 0, dtype=np.uint8))["counts"]


def decode_coco(counts: bytes, height: int, width: int) -> np.ndarray:
    """Read counts written by :func:`encode_coco`: (height, width) uint8, values 0 and 1."""
    return coco.decode({"counts": counts, "size": [height, width]})

"""How a map of codes is stored: rounded to cells that keep every decision, then compressed.

A cell is a range of neighbouring codes. Cells end at every threshold of calibration (k/256) and at every 1/8 logit,
where component sweeps cut, so masks and swept components are those of the codes themselves, bit for bit; so is the
highest code, the score of an image. Only the order within a cell is lost: a pixel is read as a code somewhere in its
cell, depending on its position alone. (As one code, all would be ties, which average precision takes for the worst
order.) Cells are narrow enough for average precision to change by less than 1e-4: see :func:`choose_cells`.

Of the cells' indices, the differences of neighbours are stored in Huffman codes, in blocks sorted by their activity.
"""

import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from defectbench.metrics.codes import N_CODES, THRESHOLD_CODES, count_codes

_STEPS = (32, 16, 8, 4, 2, 1)
"""Widths of cells in codes, from 1/16 to 1/512 logit."""
_MOST_TOGETHER = 1 / 8
"""Largest share of a map's pixels that may lose their order in a cell."""
_FREQUENT = 1 / 4096
"""Share of a map's pixels from which a code may be a cell of its own."""
_SMALL_MAP = 4096
"""Maps of up to this number of pixels are kept exactly."""
_PIXELS_PER_STRIP = 2**20
"""A map is compressed in strips of about this size, so that a large one is never copied whole."""
_DIFFERENCES: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1))
"""Axes along which each index may be replaced by the difference to the one before, modulo 65536."""
_SIDE = 16
"""Side of the square blocks that a plane is cut into; zlib makes new Huffman codes for some 60 of them."""
_HEAD = struct.Struct("<II")  # number of cells, bytes of their list
_PLANE = struct.Struct("<II")  # bytes of the blocks' levels and of the blocks


class Cells(NamedTuple):
    """The N cells that hold pixels of a map, ascending."""

    start: np.ndarray
    """(N,) uint16: lowest code of each"""
    width: np.ndarray
    """(N,) uint8: number of codes of each"""


def choose_cells(occurrences: np.ndarray) -> Cells:
    """The cells of a map in which each code occurs as often as ``occurrences`` (65536,) says.

    They are as wide as the largest of _STEPS at which none makes too many pixels lose their order. A code that most
    pixels of its cell have, such as a saturated background, is a cell of its own, and so is the highest code.
    """
    n_pixels = occurrences.sum()
    for step in _STEPS if n_pixels > _SMALL_MAP else (1,):
        begins = np.zeros(N_CODES, bool)
        begins[::step] = True
        begins[THRESHOLD_CODES] = True
        starts = np.flatnonzero(begins)
        held, most = (count.reduceat(occurrences, starts) for count in (np.add, np.maximum))
        if (held - most).max() <= _MOST_TOGETHER * n_pixels:
            break
    frequent = np.flatnonzero(occurrences > _FREQUENT * n_pixels)
    in_its_cell = held[np.searchsorted(starts, frequent, side="right") - 1]
    alone = np.append(frequent[2 * occurrences[frequent] > in_its_cell], np.flatnonzero(occurrences)[-1])
    begins[alone] = True
    begins[np.minimum(alone + 1, N_CODES - 1)] = True
    starts = np.flatnonzero(begins)
    occupied = np.add.reduceat(occurrences, starts) > 0
    widths = np.diff(starts, append=N_CODES)
    return Cells(starts[occupied].astype(np.uint16), widths[occupied].astype(np.uint8))


def compress(codes: np.ndarray) -> bytes:
    """Compress a uint16 map (H, W), rounded to :func:`choose_cells`."""
    cells = choose_cells(count_codes(codes))
    index_of_code = np.zeros(N_CODES, np.uint16)
    index_of_code[cells.start[1:]] = 1
    index_of_code = np.cumsum(index_of_code, dtype=np.uint16)
    cells_list = zlib.compress(np.diff(cells.start, prepend=np.uint16(0)).tobytes() + cells.width.tobytes())
    parts = [_HEAD.pack(len(cells.start), len(cells_list)), cells_list]
    for rows in _strips(*codes.shape):
        parts += _compress_strip(cv2.LUT(codes[rows], index_of_code))
    return b"".join(parts)


def decompress(blob: bytes, height: int, width: int) -> np.ndarray:
    """Read the uint16 map (height, width) that :func:`compress` stored."""
    data = memoryview(blob)
    n_cells, size = _HEAD.unpack_from(data)
    position = _HEAD.size + size
    cells_list = zlib.decompress(data[_HEAD.size : position])
    start, cell_width = (np.zeros(N_CODES, np.uint16) for _ in range(2))
    start[:n_cells] = np.cumsum(np.frombuffer(cells_list, np.uint16, n_cells), dtype=np.uint16)
    cell_width[:n_cells] = np.frombuffer(cells_list, np.uint8, offset=2 * n_cells)
    codes = np.empty((height, width), np.uint16)
    for rows in _strips(height, width):
        shape = rows.stop - rows.start, width
        indices, position = _decompress_strip(data, position, shape)
        within = cv2.LUT(indices, cell_width)
        within *= _places(*shape)
        within >>= 8
        np.add(cv2.LUT(indices, start), within, out=codes[rows])
    return codes


def _strips(height: int, width: int) -> Iterator[slice]:
    """Yield the rows of each strip, whole blocks of them."""
    n_rows = max(1, _PIXELS_PER_STRIP // (_SIDE * width)) * _SIDE
    for first in range(0, height, n_rows):
        yield slice(first, min(first + n_rows, height))


@lru_cache(maxsize=2)
def _places(height: int, width: int) -> np.ndarray:
    """Where in its cell each pixel of a strip is, in 256ths, uint16.

    Multiples of the golden ratio modulo 1: any few neighbours are spread evenly (Knuth, The Art of Computer Programming
    3, 6.4).
    """
    numbers = np.arange(height * width, dtype=np.uint32)
    numbers *= np.uint32(2654435769)
    numbers >>= 24
    return numbers.astype(np.uint16).reshape(height, width)


def _compress_strip(indices: np.ndarray) -> list[bytes]:
    """Compress a strip of indices of cells, (h, w) uint16, by the differences that promise the fewest bits."""
    candidates = [_bytes_of(_differences(indices, axes)) for axes in _DIFFERENCES]
    best = int(np.argmin([_bits(low) + _bits(high) for low, high in candidates]))
    return [bytes([best]), *(part for plane in candidates[best] for part in _compress_plane(plane))]


def _decompress_strip(data: memoryview, position: int, shape: tuple[int, int]) -> tuple[np.ndarray, int]:
    """Read the strip of ``shape`` (h, w) at ``position`` in ``data``; also return the position after it."""
    low, after_low = _decompress_plane(data, position + 1, shape)
    high, end = _decompress_plane(data, after_low, shape)
    indices = low.view(np.int8).astype(np.int16).view(np.uint16)
    if high.any():
        indices += high.astype(np.uint16) << np.uint16(8)
    for axis in _DIFFERENCES[data[position]]:
        np.cumsum(indices, axis=axis, dtype=np.uint16, out=indices)
    return indices, end


def _differences(indices: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    for axis in axes:
        indices = np.diff(indices, axis=axis, prepend=np.uint16(0))
    return indices


def _bytes_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low bytes of uint16 ``values``, and what is left, divided by 256: nothing if they are from -128 to 127."""
    return values.astype(np.uint8), ((values + np.uint16(128)) >> np.uint16(8)).astype(np.uint8)


def _bits(plane: np.ndarray) -> float:
    """Bits per pixel of an ideal code of ``plane``, uint8: its entropy."""
    counts = cv2.calcHist([plane.ravel()[None]], [0], None, [256], [0, 256])
    shares = counts[counts > 0] / plane.size
    return float(-(shares * np.log2(shares)).sum())


def _compress_plane(plane: np.ndarray) -> tuple[bytes, bytes, bytes]:
    """Compress a uint8 plane (h, w)."""
    blocks = _cut(plane)
    activity = np.abs(blocks.view(np.int8), dtype=np.int16).sum(axis=1)
    levels = np.ceil(4 * np.log2(activity + 1.0)).astype(np.uint8)
    order = _order(levels)
    if not len(order):
        return _PLANE.pack(0, 0), b"", b""
    listed = zlib.compress(levels)
    # A Huffman code takes at least one bit; where less will do, runs are shorter.
    compressor = zlib.compressobj(1, strategy=zlib.Z_RLE if _bits(plane) < 1 else zlib.Z_HUFFMAN_ONLY)
    blob = compressor.compress(blocks[order]) + compressor.flush()
    return _PLANE.pack(len(listed), len(blob)), listed, blob


def _decompress_plane(data: memoryview, position: int, shape: tuple[int, int]) -> tuple[np.ndarray, int]:
    """Read the uint8 plane of ``shape`` (h, w) at ``position`` in ``data``; also return the position after it."""
    n_listed, n_blob = _PLANE.unpack_from(data, position)
    listed = position + _PLANE.size
    if n_listed == 0:
        return np.zeros(shape, np.uint8), listed
    blob = listed + n_listed
    levels = np.frombuffer(zlib.decompress(data[listed:blob]), np.uint8)
    order = _order(levels)
    blocks = np.zeros((len(levels), _SIDE**2), np.uint8)
    stored = zlib.decompress(data[blob : blob + n_blob], bufsize=len(order) * _SIDE**2)
    blocks[order] = np.frombuffer(stored, np.uint8).reshape(-1, _SIDE**2)
    return _join(blocks, shape), blob + n_blob


def _order(levels: np.ndarray) -> np.ndarray:
    """Indices of the blocks that are stored, those with any difference, from the calmest to the busiest."""
    order = np.argsort(levels, kind="stable")
    return order[levels[order] > 0]


def _cut(plane: np.ndarray) -> np.ndarray:
    """Blocks (n, _SIDE²) of a plane (h, w), padded with zeros."""
    rows, columns = (-(-length // _SIDE) for length in plane.shape)
    padded = np.zeros((rows * _SIDE, columns * _SIDE), np.uint8)
    padded[: plane.shape[0], : plane.shape[1]] = plane
    return padded.reshape(rows, _SIDE, columns, _SIDE).swapaxes(1, 2).reshape(-1, _SIDE**2)


def _join(blocks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Inverse of :func:`_cut`: the plane of ``shape`` (h, w)."""
    rows, columns = (-(-length // _SIDE) for length in shape)
    padded = blocks.reshape(rows, columns, _SIDE, _SIDE).swapaxes(1, 2).reshape(rows * _SIDE, columns * _SIDE)
    return np.ascontiguousarray(padded[: shape[0], : shape[1]])

"""Label Studio's code of brush strokes: bits, packed into bytes, that hold the RGBA values of an image in runs.

It begins with the number of values (32 bits), the bits of a value less one (5), and four sizes of the field "length",
each less one (4 bits each). Runs follow: one bit, 1 if all its values are the same; which of the four sizes (2 bits);
the number of values less one; and the value once, or each of them. The last byte is filled up. The brush is where
alpha, every fourth value, is at least half opaque. (The format is that of the JavaScript package rle-pack.)
"""

from itertools import pairwise

import numpy as np

_CHANNELS, _ALPHA, _OPAQUE = 4, 3, 128
_SIZES = (3, 4, 8, 16)
"""Bits of lengths that the encoder chooses from, as Label Studio's own does; 16 are the most."""


def decode_brush(code: bytes, height: int, width: int) -> np.ndarray:
    """Where the brush of ``code`` was in an image of the given size: (height, width) bool.

    Raises:
        ValueError: if the code is damaged or of an image of another size, or if all that it draws is too transparent.
    """
    bits = _Bits(code)
    n_values = bits.read(32)
    if n_values != height * width * _CHANNELS:
        raise ValueError(
            f"rle holds {n_values} values; an image of {height} x {width} has {height * width * _CHANNELS}"
        )
    word = bits.read(5) + 1
    if word != 8:
        raise ValueError(f"rle holds values of {word} bits; those of a brush have 8")
    sizes = [bits.read(4) + 1 for _ in range(4)]
    alpha = np.zeros(height * width, np.uint8)
    start = 0
    while start < n_values:
        same = bits.read(1)
        end = start + 1 + bits.read(sizes[bits.read(2)])
        if end > n_values:
            raise ValueError("rle is damaged: a run ends beyond the image")
        # The pixels whose alpha is in the run.
        first, last = start // _CHANNELS, (end + _CHANNELS - 1 - _ALPHA) // _CHANNELS
        if same:
            alpha[first:last] = bits.read(word)
        else:
            values = bits.read_bytes(end - start)
            alpha[first:last] = values[_ALPHA - start % _CHANNELS :: _CHANNELS]
        start = end
    if alpha.any() and alpha.max() < _OPAQUE:
        raise ValueError("the brush is less than half opaque everywhere: nothing of it would be read")
    return (alpha >= _OPAQUE).reshape(height, width)


def encode_brush(mask: np.ndarray) -> list[int]:
    """Code of ``mask``, (H, W), non-zero = defect: the bytes as numbers, as Label Studio's JSON holds them."""
    flat = mask.ravel() != 0
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    head = f"{_CHANNELS * flat.size:032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in _SIZES)
    runs = [_encode_run(_CHANNELS * (end - start), 255 * int(flat[start])) for start, end in pairwise(edges)]
    bits = "".join([head, *runs])
    return np.packbits(np.frombuffer(bits.encode(), np.uint8) - ord("0")).tolist()


def _encode_run(length: int, value: int) -> str:
    """Bits of ``length`` equal values, in as many runs as it takes."""
    bits, most = "", 2 ** _SIZES[-1]
    while length:
        part = min(length, most)
        index = next(index for index, size in enumerate(_SIZES) if part <= 2**size)
        bits += f"1{index:02b}{part - 1:0{_SIZES[index]}b}{value:08b}"
        length -= part
    return bits


class _Bits:
    """A reader of numbers from bits, the highest first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def read(self, n_bits: int) -> int:
        """The next number."""
        end = self._at + n_bits
        if end > 8 * len(self._data):
            raise ValueError("rle is cut short")
        number = int.from_bytes(self._data[self._at // 8 : (end + 7) // 8], "big") >> (-end % 8)
        self._at = end
        return number & ((1 << n_bits) - 1)

    def read_bytes(self, count: int) -> np.ndarray:
        """The next ``count`` numbers of 8 bits."""
        first, shift = divmod(self._at, 8)
        if self._at + 8 * count > 8 * len(self._data):
            raise ValueError("rle is cut short")
        data = np.frombuffer(self._data[first : first + count + 1], np.uint8).astype(np.uint16)
        self._at += 8 * count
        if not shift:
            return data[:count].astype(np.uint8)
        return (data[:count] << shift | data[1 : count + 1] >> (8 - shift)).astype(np.uint8)

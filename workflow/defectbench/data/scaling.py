"""Scaling of deep images to the 0 ... 255 that models see, by limits measured on training images alone."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from defectbench.config.scaling import ScalingSettings
from defectbench.files import read_json, write_json

SCALING = "scaling.json"
"""Name of the file."""
_VALUES = 2**16  # that half a value of 32 bits has, or all of one of 16
_BAND = 256  # rows scaled or counted at a time: a large image takes no more memory

Bands = Callable[[], Iterable[np.ndarray]]
"""Gives parts (h, W, N) of all training images, again at each call."""


@dataclass(frozen=True)
class Scaling:
    """Limits of each channel, and what the training images look like between them."""

    dtype: str
    """Type of the stored values: 'uint8', 'uint16' or 'float32'."""
    low: tuple[float, ...]
    """Value that becomes 0, of each channel."""
    high: tuple[float, ...]
    """Value that becomes 255."""
    mean: tuple[float, ...]
    """Mean of the scaled training images, 0 ... 255."""
    std: tuple[float, ...]
    n_images: int
    """Training images that were measured."""
    percentiles: tuple[float, float] | None
    """Percentiles of their values at the limits; None: the limits are given."""

    @classmethod
    def of_record(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_record`."""
        arguments: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return cls(**arguments)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read scaling.json."""
        return cls.of_record(read_json(path))

    def to_record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def write(self, path: Path) -> None:
        """Write scaling.json, atomically."""
        write_json(path, self.to_record())

    def apply(self, image: np.ndarray) -> np.ndarray:
        """An image (H, W) or (H, W, N) of the stored values as uint8; one of 8 bits as it is."""
        if self.dtype == "uint8":
            return image
        low, high = (np.array(limits, np.float32) for limits in (self.low, self.high))
        if image.ndim == 2:
            low, high = low[0], high[0]
        scaled = np.empty(image.shape, np.uint8)
        for top in range(0, len(image), _BAND):
            scaled[top : top + _BAND] = to_bytes(image[top : top + _BAND], low, high)
        return scaled

    def describe(self) -> str:
        """A sentence for readers of the results; empty if values are used as they are."""
        if self.dtype == "uint8":
            return ""
        limits = ", ".join(f"{low:g} … {high:g}" for low, high in zip(self.low, self.high, strict=True))
        origin = "given"
        if self.percentiles is not None:
            low, high = self.percentiles
            origin = f"percentiles {low:g} and {high:g} of {self.n_images:,} training images"
        return f"values {limits} ({origin}) are scaled to 0 … 255; those beyond are clipped"


def to_bytes(image: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """``image`` as uint8: 0 at and below ``low``, 255 at and above ``high``, rounded; a number, or one per channel."""
    span = np.where(high > low, high - low, 1).astype(np.float32)
    scaled = (image.astype(np.float32) - low) * (255 / span)
    return np.rint(np.clip(scaled, 0, 255, out=scaled), out=scaled).astype(np.uint8)


def measure(bands: Bands, dtype: str, settings: ScalingSettings | None, n_images: int) -> Scaling:
    """The scaling of ``n_images`` training images of values of ``dtype``; 8-bit ones need no ``settings``."""
    channels = next(iter(bands())).shape[2]
    percentiles = None
    if dtype == "uint8" or settings is None:
        low, high = np.zeros(channels), np.full(channels, 255.0)
    elif settings.limits is not None:
        low, high = (np.full(channels, limit) for limit in settings.limits)
    else:
        percentiles = settings.percentiles
        low, high = value_percentiles(bands, np.dtype(dtype), percentiles)
    low, high = low.astype(np.float32), high.astype(np.float32)
    counts = np.zeros((channels, 256), np.int64)
    for band in bands():
        scaled = band if dtype == "uint8" else to_bytes(band, low, high)
        for channel in range(channels):
            counts[channel] += np.bincount(scaled[..., channel].ravel(), minlength=256)
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ np.arange(256)
    std = np.sqrt(np.maximum(share @ np.arange(256) ** 2 - mean**2, 0))
    lows, highs, means, stds = (tuple(map(float, part)) for part in (low, high, mean, std))
    return Scaling(dtype, lows, highs, means, stds, n_images, percentiles)


def value_percentiles(bands: Bands, dtype: np.dtype, shares: tuple[float, float]) -> np.ndarray:
    """Percentiles ``shares`` of the values of each channel, (2, N), exactly: each is the lowest value with that share.

    Values are counted by their upper 16 bits, then, of floats, those that share them by the lower ones.
    """
    counts = _count(bands, lambda keys: keys >> 16)
    ranks = np.maximum(np.ceil(np.array(shares)[:, None] / 100 * counts.sum(axis=1)), 1)
    upper = np.array([[np.searchsorted(counts[c].cumsum(), rank) for c, rank in enumerate(row)] for row in ranks])
    if dtype != np.float32:
        return upper.astype(np.float64)
    values = np.empty(upper.shape)
    for row, rank in enumerate(ranks):
        below = np.array([counts[c, :u].sum() for c, u in enumerate(upper[row])])
        inside = _count(bands, lambda keys: keys & 0xFFFF, upper[row])
        lower = [np.searchsorted(inside[c].cumsum(), rank[c] - below[c]) for c in range(len(below))]
        values[row] = _floats((upper[row].astype(np.uint32) << 16) | np.array(lower, np.uint32))
    return values


def _count(bands: Bands, part: Callable[[np.ndarray], np.ndarray], upper: np.ndarray | None = None) -> np.ndarray:
    """Counts (N, 65536) of a ``part`` of the keys of each channel's values; of those with these ``upper`` 16 bits."""
    counts = None
    for band in bands():
        if counts is None:
            counts = np.zeros((band.shape[2], _VALUES), np.int64)
        for channel, of_channel in enumerate(counts):
            keys = _keys(band[..., channel].ravel())
            if upper is not None:
                keys = keys[keys >> 16 == upper[channel]]
            of_channel += np.bincount(part(keys), minlength=_VALUES)
    assert counts is not None  # a split has training images
    return counts


def _keys(values: np.ndarray) -> np.ndarray:
    """Numbers of 32 bits, uint32, in the order of ``values``: of whole ones the upper 16 bits are the value."""
    if values.dtype != np.float32:
        return values.astype(np.uint32) << 16
    bits = values.view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | 0x80000000)


def _floats(keys: np.ndarray) -> np.ndarray:
    """Inverse of :func:`_keys` for floats."""
    return np.where(keys >> 31, keys & 0x7FFFFFFF, ~keys).astype(np.uint32).view(np.float32)


def split_bands(image: np.ndarray) -> Iterator[np.ndarray]:
    """Parts (h, W, N) of an image (H, W) or (H, W, N)."""
    for top in range(0, len(image), _BAND):
        band = image[top : top + _BAND]
        yield band[..., None] if band.ndim == 2 else band

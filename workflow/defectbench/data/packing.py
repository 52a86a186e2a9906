"""Packs: decoded images, and separately masks, in flat files that every trainer maps into memory.

A pack has whole images, or tiles of them: then its ids are tile ids, see defectbench.data.tiles.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow.parquet as pq

from defectbench.data.scaling import SCALING, Scaling
from defectbench.script import UserError

IMAGES, MASKS = "images", "masks"
HAS_IGNORED = "has_ignored"
METADATA_KEY = b"defectbench"

IGNORED = 255
"""Value in masks of the pixels that nobody decided, which losses and validation leave out: the field's usual one."""

Window = tuple[slice, slice]
"""Rows and columns of a part of an image: contiguous, inside it."""
WHOLE: Window = (slice(None), slice(None))


class UnscaledError(UserError):
    """Deep images that are read before they were measured."""


class ChannelError(UserError):
    """Channels that images do not have."""


class _Pack:
    """Random access by id, the first column of the index. Pickled copies open the files again."""

    def __init__(self, folder: Path, name: str, depth: str) -> None:
        table = pq.read_table(Path(folder) / f"{name}.parquet")
        self._folder = Path(folder)
        self._metadata = json.loads(table.schema.metadata[METADATA_KEY])
        ids = table.column(0).to_pylist()
        columns = (table[column].to_pylist() for column in ("offset", "height", "width", depth))
        # id -> offset in bytes, height, width, depth
        self._entries = dict(zip(ids, zip(*columns, strict=True), strict=True))
        # A plain array over the map: its views are cheaper than np.memmap's.
        self._data = np.asarray(np.memmap(self._folder / f"{name}.bin", dtype=np.uint8, mode="r"))

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        return type(self), (self._folder,)

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Ids of all images, or tiles, in the order of the file: sorted by image."""
        return tuple(self._entries)


class ImagePack(_Pack):
    """The images in images.bin, listed in images.parquet; never opens a file with labels.

    Deep images are stored as they are, and scaled to 0 ... 255 when they are read.
    """

    def __init__(self, folder: Path, scaling: Scaling | None = None, channels: Sequence[int] | None = None) -> None:
        """Map the images in ``folder``; deep ones are read with ``scaling``, or else that of the dataset, beside them.

        ``channels`` are those that are read, in this order; None: all.
        """
        super().__init__(folder, IMAGES, "channels")
        self.digest: str = self._metadata["data_digest"]
        """Data digest of the pack's manifest."""
        _, heights, widths, stored = zip(*self._entries.values(), strict=True)
        self.largest = (max(heights), max(widths))
        """Largest height and largest width, pixels."""
        self.stored_channels = max(stored)
        """1 if all images are grey, 3 if they are RGB, or as many as the dataset says."""
        self.dtype = np.dtype(self._metadata.get("dtype", "uint8"))
        """Type of the stored values."""
        self.selected = None if channels is None else tuple(channels)
        """Numbers of the channels that are read; None: all."""
        if self.selected is not None and max(self.selected) >= self.stored_channels:
            raise ChannelError(
                f"input_channels {list(self.selected)}: the images have {self.stored_channels}, counted from 0"
            )
        self.channels = self.stored_channels if self.selected is None else len(self.selected)
        """Channels that are read."""
        self.scaling = scaling
        """How stored values are scaled; None: they are read as they are."""
        if scaling is None and self.dtype != np.uint8 and (self._folder / SCALING).is_file():
            self.scaling = Scaling.read(self._folder / SCALING)

    @classmethod
    def of_run(cls, folder: Path, run: Mapping[str, Any]) -> Self:
        """The images as a model sees them: with scaling and channels of its run record."""
        scaling = Scaling.of_record(run["scaling"]) if run.get("scaling") else None
        return cls(folder, scaling, run["settings"].get("input_channels"))

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (self._folder, self.scaling, self.selected)

    def __getitem__(self, image_id: str) -> np.ndarray:
        """One image, (H, W) or (H, W, N) uint8; of 8 bits and all channels, a read-only view of the file."""
        return self.read(image_id)

    def read(self, image_id: str, window: Window = WHOLE) -> np.ndarray:
        """A ``window`` of an image, as :meth:`__getitem__` gives the whole."""
        image = self.stored(image_id)[window]
        if self.scaling is not None:
            image = self.scaling.apply(image)
        elif self.dtype != np.uint8:
            raise UnscaledError(f"{self._folder}: no {SCALING}, by which images of {self.dtype} values are scaled")
        return image if self.selected is None else select_channels(image, self.selected)

    def stored(self, image_id: str) -> np.ndarray:
        """The stored values of an image, (H, W) or (H, W, N) of ``dtype``: a read-only view of the file."""
        offset, height, width, channels = self._entries[image_id]
        shape = (height, width) if channels == 1 else (height, width, channels)
        data = self._data[offset : offset + math.prod(shape) * self.dtype.itemsize]
        return data.view(self.dtype).reshape(shape)

    def size(self, image_id: str) -> tuple[int, int]:
        """Height and width of an image."""
        _, height, width, _ = self._entries[image_id]
        return height, width

    def statistics(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and standard deviation of each channel that is read, (N,) in 0 ... 1, over the training images.

        None for images that need no measuring: grey and RGB with 8 bits.
        """
        if self.scaling is None:
            return None
        chosen = list(range(self.stored_channels) if self.selected is None else self.selected)
        mean, std = (np.array(values, np.float32)[chosen] / 255 for values in (self.scaling.mean, self.scaling.std))
        return mean, np.maximum(std, np.float32(1 / 255))  # of a flat channel, that of one step


def select_channels(image: np.ndarray, channels: Sequence[int]) -> np.ndarray:
    """``channels`` of an image (H, W) or (H, W, N), in this order; one of them as (H, W)."""
    if image.ndim == 2:
        image = image[..., None]
    chosen = image[:, :, list(channels)]
    return np.ascontiguousarray(chosen[:, :, 0] if len(channels) == 1 else chosen)


class MaskPack(_Pack):
    """The masks in masks.bin, listed in masks.parquet."""

    def __init__(self, folder: Path) -> None:
        """Map the masks in ``folder``."""
        super().__init__(folder, MASKS, "n_classes")
        self.class_names: tuple[str, ...] = tuple(self._metadata["class_names"])
        """Names of the classes, in the order of the masks' first axis."""
        self.has_ignored: bool = self._metadata.get(HAS_IGNORED, False)
        """Whether a plane of ignored pixels follows those of the classes."""

    def __getitem__(self, image_id: str) -> np.ndarray:
        """Masks of one image, (C, H, W) uint8, values 0 and 1: a fresh array."""
        return self.read(image_id)

    def read(self, image_id: str, window: Window = WHOLE, *, merged: bool = False) -> np.ndarray:
        """Masks (C, h, w) uint8, values 0 and 1, in a ``window`` of an image; only that is unpacked.

        ``merged`` gives their union instead, (1, h, w).
        """
        offset, height, width, n_classes = self._entries[image_id]
        return self._unpack(offset, (n_classes, height, width), window, merged)

    def read_marked(self, image_id: str, window: Window = WHOLE, *, merged: bool = False) -> np.ndarray:
        """Masks as :meth:`read` gives them, with the value IGNORED in all planes where nobody decided."""
        masks, ignored = self.read(image_id, window, merged=merged), self.ignored(image_id, window)
        if ignored is not None:
            masks[:, ignored] = IGNORED
        return masks

    def ignored(self, image_id: str, window: Window = WHOLE) -> np.ndarray | None:
        """Pixels of no class that nobody decided, (h, w) bool, in a ``window``; None if the dataset marks none."""
        if not self.has_ignored:
            return None
        offset, height, width, n_classes = self._entries[image_id]
        plane = self._unpack(offset + n_classes * height * -(-width // 8), (1, height, width), window)[0]
        return plane.astype(bool)

    def _unpack(self, offset: int, size: tuple[int, int, int], window: Window, merged: bool = False) -> np.ndarray:
        n_planes, height, width = size
        rows, columns = window
        left, right, _ = columns.indices(width)
        # Each row begins at a whole byte, so that a window can be cut before it is unpacked.
        shape = (n_planes, height, -(-width // 8))
        packed = self._data[offset : offset + math.prod(shape)].reshape(shape)[:, rows, left // 8 : -(-right // 8)]
        if merged:
            packed = np.bitwise_or.reduce(packed, axis=0, keepdims=True)
        bits = np.unpackbits(packed, axis=-1)
        return bits[:, :, left % 8 : left % 8 + right - left]

    def areas(self) -> dict[str, list[int]]:
        """Defect area in pixels per class, by id."""
        table = pq.read_table(self._folder / f"{MASKS}.parquet", columns=["area"])
        return dict(zip(self._entries, table["area"].to_pylist(), strict=True))

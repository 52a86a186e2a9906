"""Packs: decoded images, and separately masks, in flat files that every trainer maps into memory.

A pack has whole images, or tiles of them: then its ids are tile ids, see defectbench.data.tiles.
"""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

IMAGES, MASKS = "images", "masks"
HAS_IGNORED = "has_ignored"
METADATA_KEY = b"defectbench"

IGNORED = 255
"""Value in masks of the pixels that nobody decided, which losses and validation leave out: the field's usual one."""

Window = tuple[slice, slice]
"""Rows and columns of a part of an image: contiguous, inside it."""
WHOLE: Window = (slice(None), slice(None))


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
    """The images in images.bin, listed in images.parquet; never opens a file with labels."""

    def __init__(self, folder: Path) -> None:
        """Map the images in ``folder``."""
        super().__init__(folder, IMAGES, "channels")
        self.digest: str = self._metadata["data_digest"]
        """Data digest of the pack's manifest."""
        _, heights, widths, channels = zip(*self._entries.values(), strict=True)
        self.largest = (max(heights), max(widths))
        """Largest height and largest width, pixels."""
        self.channels = max(channels)
        """1 if all images are grey, else 3."""

    def __getitem__(self, image_id: str) -> np.ndarray:
        """One image, (H, W) or (H, W, 3) RGB uint8: a read-only view of the file."""
        offset, height, width, channels = self._entries[image_id]
        shape = (height, width) if channels == 1 else (height, width, channels)
        return self._data[offset : offset + height * width * channels].reshape(shape)


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

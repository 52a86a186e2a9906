"""Prediction file: the codes that a model predicts, a row per image and class.

Columns: ``image_id``, ``class`` ("merged" for a map of any defect), ``height``, ``width`` (the image's own
pixels) and ``codes``: the uint16 codes of :mod:`defectbench.metrics.codes` in row-major order, as two byte
planes (all high bytes, then all low bytes), compressed with Zstandard. The schema's metadata name the role
(val or test), the classes, and whether the codes are scores or a mere yes/no.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from defectbench.digests import atomic_with_digest
from defectbench.script import UserError

_KEY = b"defectbench.prediction"
_COLUMNS = [
    ("image_id", pa.string()),
    ("class", pa.string()),
    ("height", pa.int32()),
    ("width", pa.int32()),
    ("codes", pa.binary()),
]
_IMAGES_PER_GROUP, _BYTES_PER_GROUP = 16, 2**26
_PIXELS_PER_FRAME = 2**24
_ZSTD = pa.Codec("zstd", compression_level=3)


class PredictionFileError(UserError):
    """A prediction file that cannot be read."""


@dataclass(frozen=True)
class PredictionHeader:
    """Metadata of a prediction file."""

    role: str
    classes: tuple[str, ...]
    has_scores: bool
    defective_only: bool = False
    """Whether only images with a defect are predicted: oracle prompts exist for no other."""


def compress(codes: np.ndarray) -> bytes | bytearray:
    """Compress a uint16 map, losslessly."""
    flat = codes.reshape(-1)
    if flat.size <= _PIXELS_PER_FRAME:
        return _ZSTD.compress(np.stack([_high_bytes(flat), flat.astype(np.uint8)]), asbytes=True)
    # Frames in a row are decompressed as one: a large map is never copied whole.
    starts = range(0, flat.size, _PIXELS_PER_FRAME)
    parts = [flat[start : start + _PIXELS_PER_FRAME] for start in starts]
    planes = chain(map(_high_bytes, parts), (part.astype(np.uint8) for part in parts))
    blob = bytearray()
    for plane in planes:
        blob += _ZSTD.compress(plane, asbytes=True)
    return blob


def _high_bytes(codes: np.ndarray) -> np.ndarray:
    return (codes >> 8).astype(np.uint8)


def decompress(blob: bytes | bytearray, height: int, width: int) -> np.ndarray:
    """Inverse of :func:`compress`: a uint16 map (height, width)."""
    # As bytes, whose memory goes back to the system at once, unlike that of Arrow's buffers.
    planes = np.frombuffer(_ZSTD.decompress(blob, 2 * height * width, asbytes=True), dtype=np.uint8).reshape(2, -1)
    codes = planes[0].astype(np.uint16)
    codes <<= 8
    codes |= planes[1]
    return codes.reshape(height, width)


class PredictionWriter:
    """Adds maps image by image; see :func:`write_predictions`."""

    def __init__(self, sink: pq.ParquetWriter, header: PredictionHeader) -> None:
        """Write maps of the classes of ``header`` to ``sink``."""
        self._sink = sink
        self._header = header
        self._rows: dict[str, list] = {name: [] for name, _ in _COLUMNS}
        self._image_ids: set[str] = set()

    def add(self, image_id: str, codes: np.ndarray) -> None:
        """Add the codes (C, H, W) of one image, uint16, classes in the header's order."""
        if codes.dtype != np.uint16 or codes.ndim != 3 or codes.shape[0] != len(self._header.classes):
            raise ValueError(f"{image_id}: expected uint16 (C={len(self._header.classes)}, H, W), got {codes.shape}")
        if image_id in self._image_ids:
            raise ValueError(f"{image_id}: predicted twice")
        self._image_ids.add(image_id)
        for name, plane in zip(self._header.classes, codes, strict=True):
            for column, value in zip(self._rows, (image_id, name, *plane.shape, compress(plane)), strict=True):
                self._rows[column].append(value)
        full = len(self._rows["class"]) >= _IMAGES_PER_GROUP * len(self._header.classes)
        if full or sum(map(len, self._rows["codes"])) >= _BYTES_PER_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write the buffered rows."""
        if self._rows["class"]:
            columns = self._rows | {"codes": pa.chunked_array(map(_wrap, self._rows["codes"]), pa.binary())}
            self._sink.write_table(pa.table(columns, schema=self._sink.schema))
            self._rows = {name: [] for name in self._rows}


def _wrap(blob: bytes | bytearray) -> pa.Array:
    """An array of one ``blob``, which is not copied."""
    ends = pa.py_buffer(np.array([0, len(blob)], np.int32))
    return pa.Array.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(blob)])


@contextmanager
def write_predictions(path: Path, header: PredictionHeader) -> Iterator[PredictionWriter]:
    """Open a prediction file for writing; it appears at ``path`` only if the block ends without an error."""
    metadata = {_KEY: json.dumps(asdict(header)).encode()}
    schema = pa.schema(_COLUMNS, metadata=metadata)
    # The codes are compressed already; a dictionary and statistics of them would be further copies.
    others = [name for name, _ in _COLUMNS if name != "codes"]
    options = {"compression": "none", "use_dictionary": others, "write_statistics": others}
    with atomic_with_digest(path) as temporary, pq.ParquetWriter(temporary, schema, **options) as sink:
        writer = PredictionWriter(sink, header)
        yield writer
        writer.flush()


class PredictionFile:
    """Reads a prediction file image by image."""

    def __init__(self, path: Path) -> None:
        """Open ``path``.

        Raises:
            PredictionFileError: if the file is not a prediction file.
        """
        self.path = Path(path)
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False)  # it would keep what it has read
        except (OSError, pa.ArrowInvalid) as error:
            raise PredictionFileError(f"{path}: cannot be read as a prediction file: {error}") from None
        metadata = self._file.schema_arrow.metadata or {}
        if _KEY not in metadata:
            raise PredictionFileError(f"{path}: not a prediction file (written by predict_*)")
        fields = json.loads(metadata[_KEY])
        self.header = PredictionHeader(**fields | {"classes": tuple(fields["classes"])})

    def image_ids(self) -> list[str]:
        """Ids in the order of the file."""
        column = self._file.read(columns=["image_id"])["image_id"].to_pylist()
        return column[:: len(self.header.classes)]

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (image_id, codes (C, H, W) uint16), holding a few images at a time.

        Raises:
            PredictionFileError: if the rows of an image are not one per class, in the header's order.
        """
        n = len(self.header.classes)
        for group in range(self._file.num_row_groups):
            rows = self._file.read_row_group(group)
            columns = [rows[name].to_pylist() for name, _ in _COLUMNS[:4]]
            blobs, n_rows = rows["codes"], rows.num_rows
            del rows
            for start in range(0, n_rows, n):
                ids, names, heights, widths = (column[start : start + n] for column in columns)
                if set(ids) != {ids[0]} or tuple(names) != self.header.classes:
                    raise PredictionFileError(f"{self.path}: {ids[0]}: not one row for each of {self.header.classes}")
                maps = [decompress(blobs[start + i].as_buffer(), heights[i], widths[i]) for i in range(n)]
                codes = maps[0][None] if n == 1 else np.stack(maps)
                del maps
                if start + n == n_rows:
                    del blobs
                    pa.default_memory_pool().release_unused()
                yield ids[0], codes
                del codes  # not kept beside the next image's, nor is the file's content beside a large image's

    def __enter__(self) -> Self:
        """Enter a with block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

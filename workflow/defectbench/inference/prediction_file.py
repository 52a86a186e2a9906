"""Prediction file: the codes that a model predicts, a row per image and class.

Columns: ``image_id``, ``class`` ("merged" for a map of any defect), ``height``, ``width`` (the image's own
pixels) and ``codes``, the codes of :mod:`defectbench.metrics.codes` as :mod:`defectbench.inference.map_codec` stores
them. The schema's metadata name the role (val or test), the classes, and whether the codes are scores or a mere yes/no.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from defectbench.digests import atomic_with_digest
from defectbench.inference.map_codec import compress, decompress
from defectbench.script import UserError

_KEY = b"defectbench.prediction.2"
"""Metadata of this format; files of the one before have no number in theirs."""
_OLD_KEY = b"defectbench.prediction"
_COLUMNS = [
    ("image_id", pa.string()),
    ("class", pa.string()),
    ("height", pa.int32()),
    ("width", pa.int32()),
    ("codes", pa.binary()),
]
_IMAGES_PER_GROUP, _BYTES_PER_GROUP = 16, 2**26


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


def _wrap(blob: bytes) -> pa.Array:
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
        if _OLD_KEY in metadata:
            raise PredictionFileError(f"{path}: written by an earlier version, in another format: predict again")
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

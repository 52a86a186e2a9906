"""The manifest: a row per image with its labels, the one label format inside the project."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from defectbench.data.rle import decode_coco
from defectbench.files import atomic
from defectbench.script import UserError

SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),  # path below images_dir, with '/' and suffix
        ("path", pa.string()),  # path below the dataset's root, with '/'
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("channels", pa.int8()),  # 1 if all colour channels are equal, else 3; or dataset.channels
        ("stored_as", pa.string()),  # pixel format of the file; see images.stored_as, pixel_formats.py
        ("sha256", pa.string()),  # of the file's bytes; null, as phash and rle, where only areas are known
        ("phash", pa.uint64()),  # perceptual hash; see duplicates.py
        ("group", pa.string()),  # first id of the images that show the same picture
        (
            "rle",
            pa.list_(pa.binary()),
        ),  # COCO counts per class, empty masks included; then of ignored pixels, if any may be
        ("area", pa.list_(pa.int64())),  # pixels per class
    ]
)
_METADATA_KEY = b"defectbench"
# Without this, a uint64 column with nulls would be read as float64 and lose its low bits.
_PANDAS_TYPES = {pa.uint64(): pd.UInt64Dtype()}.get


@dataclass(frozen=True)
class Manifest:
    """All usable images of a dataset, sorted by ``image_id``; the columns of ``frame`` are in SCHEMA."""

    frame: pd.DataFrame
    dataset: str
    class_names: tuple[str, ...]
    class_values: tuple[int, ...]
    n_quarantined: int
    """Samples left out because of the problems in issues.csv."""

    def masks(self, row: Any) -> np.ndarray:
        """Masks of one row of ``frame`` (a Series or a named tuple): (C, H, W) uint8, values 0 and 1."""
        masks = np.empty((len(self.class_names), row.height, row.width), np.uint8)
        for mask, counts in zip(masks, row.rle, strict=False):  # that of ignored pixels follows
            mask[:] = decode_coco(counts, row.height, row.width)
        return masks

    @cached_property
    def has_ignored(self) -> bool:
        """Whether the dataset marks pixels that nobody decided; there may be none of them."""
        codes = self.frame["rle"].dropna()
        return len(codes) > 0 and len(codes.iloc[0]) > len(self.class_names)

    def ignored(self, row: Any) -> np.ndarray:
        """Pixels of one row of ``frame`` that nobody decided, (H, W) uint8, values 0 and 1: they are of no class."""
        if not self.has_ignored:
            return np.zeros((row.height, row.width), np.uint8)
        return decode_coco(row.rle[-1], row.height, row.width)

    def digest(self) -> str:
        """Data digest: a SHA-256 over the class names and every image's id, file hash and masks, ignored pixels too.

        Raises:
            UserError: if the manifest has areas only.
        """
        if self.frame["rle"].isna().any():
            raise UserError(f"dataset {self.dataset} is a table of areas: it has no images and masks to work with")
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        frame = self.frame.sort_values("image_id")
        for image_id, sha256, rle in zip(frame["image_id"], frame["sha256"], frame["rle"], strict=True):
            digest.update(json.dumps([image_id, sha256, [counts.decode() for counts in rle]]).encode())
        return digest.hexdigest()


def areas(frame: pd.DataFrame) -> np.ndarray:
    """Defect areas of the rows of a manifest's ``frame``: (N, C) int64, pixels."""
    return np.array(frame["area"].tolist(), dtype=np.int64).reshape(len(frame), -1)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write ``manifest`` as Parquet, atomically, sorted by ``image_id``."""
    frame = manifest.frame.sort_values("image_id")
    metadata = {
        "dataset": manifest.dataset,
        "class_names": manifest.class_names,
        "class_values": manifest.class_values,
        "n_quarantined": manifest.n_quarantined,
    }
    table = pa.Table.from_pandas(frame, schema=SCHEMA, preserve_index=False)
    table = table.replace_schema_metadata({_METADATA_KEY: json.dumps(metadata)})
    with atomic(path) as temporary:
        pq.write_table(table, temporary)


def read_manifest(path: Path, columns: Sequence[str] | None = None) -> Manifest:
    """Read a manifest; only ``columns`` of the frame, if given."""
    table = pq.read_table(path, columns=None if columns is None else list(columns))
    metadata = json.loads(table.schema.metadata[_METADATA_KEY])
    return Manifest(
        frame=table.to_pandas(types_mapper=_PANDAS_TYPES),
        dataset=metadata["dataset"],
        class_names=tuple(metadata["class_names"]),
        class_values=tuple(metadata["class_values"]),
        n_quarantined=metadata["n_quarantined"],
    )

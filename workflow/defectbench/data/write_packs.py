"""Writing of packs: decoded images, and apart from them the masks, in flat files; see defectbench.data.packing.

Apart from the readers, so that an edit here makes no training stale: the packs themselves are its inputs.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from defectbench.data.images import ImageError, decode_image, stream
from defectbench.data.manifest import Manifest
from defectbench.data.packing import IMAGES, MASKS, METADATA_KEY
from defectbench.files import atomic
from defectbench.script import UserError


class PackError(UserError):
    """Images that are not, or no longer, those of the manifest."""


def pack_images(manifest: Manifest, root: Path, folder: Path, threads: int = 2) -> int:
    """Decode all images below the dataset's ``root`` into ``folder``/images.bin and list them in images.parquet.

    Stored as uint8, (H, W) if every image of the dataset is grey, else (H, W, 3) RGB. Returns the number of
    channels.

    Raises:
        PackError: if an image file is not what the manifest says.
    """
    channels = int(manifest.frame["channels"].max())

    def decode(row: Any) -> np.ndarray:
        image = _read_checked(root / row.path, row.sha256)
        return np.ascontiguousarray(image[:, :, 0]) if channels == 1 else image

    rows = manifest.frame[["path", "sha256"]].itertuples(index=False)
    offsets = _write_flat(folder / f"{IMAGES}.bin", stream(decode, rows, threads))
    columns = {"offset": offsets, "channels": channels}
    _write_index(folder / f"{IMAGES}.parquet", manifest, columns, {"data_digest": manifest.digest()})
    return channels


def _read_checked(path: Path, sha256: str) -> np.ndarray:
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == sha256:
            return decode_image(data)
        problem = "changed since ingest"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ImageError as error:
        problem = str(error)
    raise PackError(f"{path}: {problem}. Run ingest again: the manifest is no longer about these files.")


def pack_masks(manifest: Manifest, folder: Path) -> None:
    """Write all masks, (C, H, W) packed to bits, into ``folder``/masks.bin and list them in masks.parquet."""
    rows = manifest.frame[["height", "width", "rle"]].itertuples(index=False)
    offsets = _write_flat(folder / f"{MASKS}.bin", (np.packbits(manifest.masks(row)) for row in rows))
    columns = {"offset": offsets, "n_classes": len(manifest.class_names)}
    _write_index(folder / f"{MASKS}.parquet", manifest, columns, {"class_names": manifest.class_names})


def _write_flat(path: Path, arrays: Iterator[np.ndarray]) -> list[int]:
    """Write ``arrays`` one behind the other; returns where each begins, in bytes."""
    offsets = []
    with atomic(path) as temporary, temporary.open("wb") as file:
        for array in arrays:
            offsets.append(file.tell())
            file.write(array.data)
    return offsets


def _write_index(path: Path, manifest: Manifest, columns: dict[str, Any], metadata: dict[str, Any]) -> None:
    frame = manifest.frame[["image_id", "height", "width"]].assign(**columns)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(metadata)})
    with atomic(path) as temporary:
        pq.write_table(table, temporary)

"""Writing of packs: decoded images, and separately masks, in flat files; see defectbench.data.packing.

Separate from the readers, so that an edit here makes no training stale: the packs themselves are its inputs.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from defectbench.data.decoders import ImageError
from defectbench.data.deep_images import Pixels, decode_pixels, fit_channels
from defectbench.data.images import LARGE, decode_image, is_upright, read_header, stream
from defectbench.data.manifest import Manifest
from defectbench.data.packing import HAS_IGNORED, IMAGES, MASKS, METADATA_KEY, ImagePack, MaskPack
from defectbench.data.rle import decode_coco
from defectbench.data.tiles import Size, tile_id, tile_windows, window_size
from defectbench.digests import atomic_with_digest
from defectbench.files import atomic
from defectbench.script import UserError


class PackError(UserError):
    """Images that differ from the manifest."""


def pack_images(manifest: Manifest, root: Path, folder: Path, threads: int = 2) -> int:
    """Decode all images below the dataset's ``root`` into ``folder``/images.bin and list them in images.parquet.

    Stored as uint8, (H, W) if every image of the dataset is grey, else (H, W, 3) RGB; deep images as uint16 or
    float32, and those of a dataset with channels as (H, W, N). Returns the number of channels.

    Raises:
        PackError: if an image file differs from the manifest.
    """
    channels = int(manifest.frame["channels"].max())
    pixels = Pixels.of_manifest(manifest.frame["stored_as"].iloc[0], channels)

    def decode(row: Any) -> np.ndarray:
        grey = channels == 1 and row.stored_as.startswith("grey")
        upright = is_upright(row.stored_as)

        def decode_bytes(data: bytes) -> np.ndarray:
            if pixels.is_plain:
                return decode_image(data, grey=grey, upright=upright)
            image = decode_pixels(data, read_header(data, pixels.stacked), pixels.channels, upright)
            return fit_channels(image, channels)

        image = _read_checked(root / row.path, row.sha256, decode_bytes)
        return np.ascontiguousarray(image[:, :, 0]) if channels == 1 and image.ndim == 3 else image

    rows = manifest.frame[["path", "height", "width", "sha256", "stored_as"]].itertuples(index=False)
    size = 1 if pixels.is_plain else channels * np.dtype(pixels.dtype).itemsize / 3  # of a pixel, that of RGB being 1
    images = stream(decode, rows, threads, alone=lambda row: row.height * row.width * size > LARGE)
    offsets = _write_flat(folder / f"{IMAGES}.bin", images)
    frame = manifest.frame[["image_id", "height", "width"]].assign(offset=offsets, channels=channels)
    _write_index(folder / f"{IMAGES}.parquet", frame, _image_metadata(manifest.digest(), np.dtype(pixels.dtype)))
    return channels


def _image_metadata(digest: str, dtype: np.dtype) -> dict[str, Any]:
    """What the index of a pack says of all its images."""
    return {"data_digest": digest} | ({} if dtype == np.uint8 else {"dtype": dtype.name})


def _read_checked(path: Path, sha256: str, decode: Callable[[bytes], np.ndarray]) -> np.ndarray:
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == sha256:
            return decode(data)
        problem = "changed since ingest"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ImageError as error:
        problem = str(error)
    raise PackError(f"{path}: {problem}. Run ingest again: these are no longer the files of the manifest.")


def pack_masks(manifest: Manifest, folder: Path) -> None:
    """Write all masks into ``folder``/masks.bin and list them in masks.parquet.

    Stored as (C, H, ceil(W / 8)) bytes: each row packed to bits on its own. A dataset with ignored pixels has one
    plane more, of these.
    """
    rows = manifest.frame[["height", "width", "rle"]].itertuples(index=False)
    offsets = _write_flat(folder / f"{MASKS}.bin", (_packed_masks(row) for row in rows))
    n_classes = len(manifest.class_names)
    frame = manifest.frame[["image_id", "height", "width", "area"]].assign(offset=offsets, n_classes=n_classes)
    _write_index(folder / f"{MASKS}.parquet", frame, _mask_metadata(manifest))


def _packed_masks(row: Any) -> np.ndarray:
    """Planes of a manifest's row, (C, H, ceil(W / 8)) uint8; one of them at a time is a byte per pixel."""
    return np.stack([np.packbits(decode_coco(counts, row.height, row.width), axis=-1) for counts in row.rle])


def pack_tiles(source: Path, folder: Path, tile: Size, stride: int) -> int:
    """Cut the images and masks of the pack in ``source`` into tiles, packed the same way in ``folder``.

    ``tile`` is (height, width), ``stride`` the distance between neighbours; see :func:`tile_windows`. The index
    begins with the tile's id, and adds image_id, y, x and, with the masks, the defect area in pixels per class.
    An image smaller than a tile gives one tile of its own size there: padding is left to the reader.
    Returns the number of tiles.
    """
    images, masks = ImagePack(source), MaskPack(source)
    placed = []
    for image_id in images.image_ids:
        height, width = images.size(image_id)
        placed += [(image_id, window) for window in tile_windows(height, width, tile, stride)]
    columns = [
        (tile_id(image_id, rows.start, cols.start), image_id, rows.start, cols.start, *window_size((rows, cols)))
        for image_id, (rows, cols) in placed
    ]
    frame = pd.DataFrame(columns, columns=["tile_id", "image_id", "y", "x", "height", "width"])

    pixels = (np.ascontiguousarray(images.stored(image_id)[window]) for image_id, window in placed)
    offsets = _write_flat(folder / f"{IMAGES}.bin", pixels)
    index = frame.assign(offset=offsets, channels=images.stored_channels)
    _write_index(folder / f"{IMAGES}.parquet", index, _image_metadata(images.digest, images.dtype))

    areas = []

    def cut_masks() -> Iterator[np.ndarray]:
        for image_id, window in placed:
            tile_masks = masks.read(image_id, window)
            areas.append(tile_masks.sum(axis=(1, 2), dtype=np.int64))
            ignored = masks.ignored(image_id, window)
            planes = tile_masks if ignored is None else np.concatenate([tile_masks, ignored[None]])
            yield np.packbits(planes, axis=-1)

    offsets = _write_flat(folder / f"{MASKS}.bin", cut_masks())
    index = frame.assign(area=areas, offset=offsets, n_classes=len(masks.class_names))
    _write_index(folder / f"{MASKS}.parquet", index, _mask_metadata(masks))
    return len(frame)


def _mask_metadata(masks: Manifest | MaskPack) -> dict[str, Any]:
    """What the index of a pack says of all its masks."""
    return {"class_names": masks.class_names} | ({HAS_IGNORED: True} if masks.has_ignored else {})


def _write_flat(path: Path, arrays: Iterator[np.ndarray]) -> list[int]:
    """Write ``arrays`` one after the other; returns the offset of each, in bytes."""
    offsets = []
    with atomic_with_digest(path) as temporary, temporary.open("wb") as file:
        for array in arrays:
            offsets.append(file.tell())
            file.write(array.data)
            del array  # a large image is not kept beside the next one
    return offsets


def _write_index(path: Path, frame: pd.DataFrame, metadata: dict[str, Any]) -> None:
    """Write the index of a flat file; the first column of ``frame`` is the id, the others place and size."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(metadata)})
    with atomic(path) as temporary:
        pq.write_table(table, temporary)

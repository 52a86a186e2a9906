"""Images and masks that would take all memory, or hours, to decode."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bombs import POSTSCRIPT, bomb, dataset
from foreign_datasets import shape
from PIL import Image
from small_datasets import HEIGHT, WIDTH, write_image, write_masks

# Images ---------------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(height: int, width: int, bits: int = 8, n_rows: int | None = None, more: bytes = b"") -> bytes:
    """A black grey PNG; only the first ``n_rows`` are there."""
    row = bytes(1 + -(-width * bits // 8))
    packed = zlib.compress(row * (height if n_rows is None else n_rows))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def jpeg_that_says(height: int, width: int) -> bytes:
    data = bytearray(encoded(Image.new("L", (8, 8)), "JPEG"))
    size = data.index(b"\xff\xc0") + 5
    data[size : size + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff(tags: dict[int, tuple[int, int, int]], pages: int = 1, data: bytes = b"") -> bytes:
    """Pages with the same ``tags``: kind, count and value of each; ``data`` stands behind the first page."""
    length = 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in sorted(tags.items()))
    places = [*(8 + length * page for page in range(1, pages)), 0]
    directories = (struct.pack("<H", len(tags)) + entries + struct.pack("<I", place) for place in places)
    return b"II*\0" + struct.pack("<I", 8) + b"".join(directories) + data


def grey_tiff(height: int, width: int, **more: tuple[int, int, int]) -> dict[int, tuple[int, int, int]]:
    plain = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 277: (3, 1, 1)}
    return plain | {int(tag[1:]): entry for tag, entry in more.items()}


def image_file(name: str, says: str, write: Callable[[], bytes]) -> None:
    def build(folder: Path) -> Path:
        (folder / "a.png").write_bytes(write())
        return folder / "a.png"

    build.__name__ = name
    bomb("decode", says)(build)


image_file("png_that_says_60000", "has 60000 x 60000 pixels", lambda: png(60_000, 60_000, n_rows=1))
image_file("png_cut_short", "is cut short: .* bytes cannot hold", lambda: png(30_000, 30_000, n_rows=1))
image_file("jpeg_that_says_60000", "has 60000 x 60000 pixels", lambda: jpeg_that_says(60_000, 60_000))
image_file("jpeg_cut_short", "is cut short: .* bytes cannot hold", lambda: jpeg_that_says(30_000, 30_000))
image_file(
    "png_profile", "data too large", lambda: png(9, 9, more=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8))))
)
image_file("png_text", "data too large", lambda: png(9, 9, more=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))))
image_file(
    "png_many_texts",
    "Too much memory",
    lambda: png(9, 9, more=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**6))) * 200),
)
image_file(
    "tiff_chain_of_pages",
    "has 100 pages",
    lambda: tiff(grey_tiff(1, 1, t273=(4, 1, 8), t278=(4, 1, 1), t279=(4, 1, 1)), pages=30_000),
)
image_file(
    "tiff_strips",
    "cannot be",
    lambda: tiff(grey_tiff(9, 9, t273=(4, 2**30, 8), t278=(4, 1, 1), t279=(4, 2**30, 8)), data=bytes(999)),
)
image_file("postscript", "cannot be read as BMP", lambda: POSTSCRIPT)
image_file("radiance", "cannot be read as BMP", lambda: b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 2 +X 2\n" + bytes(9))


def tiff_with_tile(side: int) -> bytes:
    """A small image in one tile that is far larger."""
    packed = zlib.compress(bytes(side * side), 1)
    tags = grey_tiff(HEIGHT, WIDTH, t259=(3, 1, 8), t322=(4, 1, side), t323=(4, 1, side), t325=(4, 1, len(packed)))
    at = 8 + 2 + 12 * (len(tags) + 1) + 4
    return tiff(tags | {324: (4, 1, at)}, data=packed)


image_file("tiff_tile", "tiles of 16000 x 16000", lambda: tiff_with_tile(16_000))


def jpeg_of_many_scans() -> bytes:
    data = encoded(Image.new("L", (2000, 2000)), "JPEG", progressive=True)
    last, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:end] + data[last:end] * 2000 + data[end:]


image_file("jpeg_scans", "has more than 100 scans", jpeg_of_many_scans)


# Masks ----------------------------------------------------------------------------------------------------------------


LARGE_MASK = r"mask is 20000 x 20000, its image 24 x 40"


@bomb("read_dataset", LARGE_MASK)
def mask_folder_large(root: Path) -> Any:
    settings = write_masks(root, {"a": shape()})
    (root / "masks/a.png").write_bytes(png(20_000, 20_000, bits=1))
    return settings


@bomb("read_dataset", LARGE_MASK)
def class_masks_large(root: Path) -> Any:
    write_image(root / "images/a.png")
    (root / "masks/dent").mkdir(parents=True)
    (root / "masks/dent/a.png").write_bytes(png(20_000, 20_000, bits=1))
    return dataset(root, "mask_folder", mask_kind="binary", class_from="folder")


@bomb("read_dataset", LARGE_MASK)
def mvtec_large(root: Path) -> Any:
    write_image(root / "test/dent/a.png")
    (root / "ground_truth/dent").mkdir(parents=True)
    (root / "ground_truth/dent/a_mask.png").write_bytes(png(20_000, 20_000, bits=1))
    return dataset(root, "mvtec")


def voc(root: Path, mask: bytes) -> None:
    write_image(root / "JPEGImages/a.png")
    (root / "SegmentationClass").mkdir()
    (root / "SegmentationClass/a.png").write_bytes(mask)


@bomb("read_dataset", LARGE_MASK)
def pascal_voc_large(root: Path) -> Any:
    voc(root, png(20_000, 20_000, bits=1))
    return dataset(root, "pascal_voc")


@bomb("read_dataset", LARGE_MASK)
def yolo_semantic_large(root: Path) -> Any:
    settings = write_masks(root, {"a": shape()})
    (root / "masks/a.png").write_bytes(png(20_000, 20_000, bits=1))
    (root / "data.yaml").write_text("names: {0: background, 1: dent}\n")
    return dataset(root, "yolo_semantic") if settings else None


@bomb("read_dataset", "1 images")
def cvat_masks_label_map(root: Path) -> Any:
    voc(root, png(HEIGHT, WIDTH))
    colours = [f"n{code}:{code >> 16},{code >> 8 & 255},{code & 255}::\n" for code in range(70_000, 100_000)]
    (root / "labelmap.txt").write_text("dent:1,2,3::\n" + "".join(colours))
    return dataset(root, "cvat_masks")


def all_colours(side: int) -> np.ndarray:
    codes = np.arange(side * side, dtype=np.uint32).reshape(side, side)
    return np.stack([codes >> 16, codes >> 8, codes], axis=-1).astype(np.uint8)


@bomb("read_dataset", "mask has more than 1,000 colours")
def mask_of_all_colours(root: Path) -> Any:
    write_masks(root, {"a": shape()})
    (root / "images/a.png").write_bytes(png(2000, 2000))
    Image.fromarray(all_colours(2000)).save(root / "masks/a.png", compress_level=1)
    return dataset(root, "mask_folder", mask_kind="colour", colours={"dent": [1, 2, 3]})


@bomb("read_dataset", "mask has more than 65,536 values")
def mask_of_all_values(root: Path) -> Any:
    write_masks(root, {"a": shape()})
    (root / "images/a.png").write_bytes(png(2500, 2500))
    (root / "masks/a.png").unlink()
    Image.fromarray(np.arange(2500 * 2500, dtype=np.int32).reshape(2500, 2500)).save(root / "masks/a.tif")
    return dataset(root, "mask_folder")


@bomb("read_dataset", "cannot be read as BMP")
def mask_of_postscript(root: Path) -> Any:
    settings = write_masks(root, {"a": shape()})
    (root / "masks/a.png").write_bytes(POSTSCRIPT)
    return settings


@bomb("read_dataset", "mask cannot be read: has more than 100 scans")
def mask_of_many_scans(root: Path) -> Any:
    settings = write_masks(root, {"a": shape()}, mask_kind="binary", classes={1: "dent"})
    (root / "images/a.png").write_bytes(png(2000, 2000))
    (root / "masks/a.png").write_bytes(jpeg_of_many_scans())
    return settings


@bomb("read_dataset", "2 images")
def mask_in_colour_of_a_large_image(root: Path) -> Any:
    write_masks(root, {"a": shape(), "b": shape()})
    (root / "images/a.png").write_bytes(png(5000, 5000))
    Image.new("RGB", (5000, 5000)).save(root / "masks/a.png", compress_level=1)
    Image.new("RGB", (WIDTH, HEIGHT), (1, 2, 3)).save(root / "masks/b.png")
    return dataset(root, "mask_folder", mask_kind="colour", colours={"dent": [1, 2, 3]})

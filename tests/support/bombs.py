"""Small files that took hours or all memory to read, or that other programs of the kind fall for."""

import base64
import gzip
import io
import json
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from foreign_datasets import SQUARE, annotation, bitmap, line, shape, write_coco, write_supervisely, write_yolo
from PIL import Image
from small_datasets import HEIGHT, WIDTH, write_image, write_masks, write_severstal

from defectbench.config.dataset import DatasetSettings
from defectbench.config.ingest import FORMATS

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
"""What Pillow would hand to another program."""
MANY = 400_000
"""Wrong items of a list, of which each took a kilobyte."""


class Bomb(NamedTuple):
    """A bomb, and what is said about it."""

    build: Callable[[Path], Path]
    """Writes it into a folder; returns the path that is read."""
    read: str
    """Name of the function of :mod:`limited` that reads it."""
    says: str
    """A regular expression of the answer."""


BOMBS: dict[str, Bomb] = {}


def bomb(read: str, says: str) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
    """List a function that writes a bomb into a folder, and returns the file or the settings to read, if others."""

    def add(write: Callable[[Path], Any]) -> Callable[[Path], Any]:
        def build(folder: Path) -> Path:
            folder.mkdir()
            written = write(folder)
            if isinstance(written, DatasetSettings):
                written.write(folder / "ingest.yaml")
            return written if isinstance(written, Path) else folder

        BOMBS[write.__name__.removesuffix("_")] = Bomb(build, read, says)
        return write

    return add


# Images -------------------------------------------------------------------------------------------------------------


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

# Masks --------------------------------------------------------------------------------------------------------------


def dataset(root: Path, form: str, classes: dict[int, str] | None = None, **settings: Any) -> DatasetSettings:
    values = {"name": "parts", "format": form, "root": root, "classes": classes or {1: "dent"}}
    return FORMATS[form].model_validate(values | settings)


LARGE_MASK = r"mask is 20000 x 20000, its image 24 x 40"


@bomb("read_dataset", LARGE_MASK)
def mask_folder_large(root: Path) -> Any:
    settings = write_masks(root, {"a": shape()})
    (root / "masks/a.png").write_bytes(png(20_000, 20_000))
    return settings


@bomb("read_dataset", LARGE_MASK)
def class_masks_large(root: Path) -> Any:
    write_image(root / "images/a.png")
    (root / "masks/dent").mkdir(parents=True)
    (root / "masks/dent/a.png").write_bytes(png(20_000, 20_000))
    return dataset(root, "mask_folder", mask_kind="binary", class_from="folder")


@bomb("read_dataset", LARGE_MASK)
def mvtec_large(root: Path) -> Any:
    write_image(root / "test/dent/a.png")
    (root / "ground_truth/dent").mkdir(parents=True)
    (root / "ground_truth/dent/a_mask.png").write_bytes(png(20_000, 20_000))
    return dataset(root, "mvtec")


def voc(root: Path, mask: bytes) -> None:
    write_image(root / "JPEGImages/a.png")
    (root / "SegmentationClass").mkdir()
    (root / "SegmentationClass/a.png").write_bytes(mask)


@bomb("read_dataset", LARGE_MASK)
def pascal_voc_large(root: Path) -> Any:
    voc(root, png(20_000, 20_000))
    return dataset(root, "pascal_voc")


@bomb("read_dataset", LARGE_MASK)
def yolo_semantic_large(root: Path) -> Any:
    settings = write_masks(root, {"a": shape()})
    (root / "masks/a.png").write_bytes(png(20_000, 20_000))
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


# Shapes -------------------------------------------------------------------------------------------------------------


def zigzag(side: int, n_points: int) -> list[float]:
    """An outline that goes to and fro over the whole of an image."""
    return [part for number in range(n_points) for part in (side * (number % 2), 7 * number % side)]


def coco_of(root: Path, segmentations: Sequence[object], side: int = 0) -> DatasetSettings:
    settings = write_coco(root, [annotation(n, one) for n, one in enumerate(segmentations)], n_images=1)
    if side:
        content = json.loads((root / "annotations.json").read_text())
        content["images"][0] |= {"height": side, "width": side}
        (root / "annotations.json").write_text(json.dumps(content))
        (root / "images/0.png").write_bytes(png(side, side))
    return settings


@bomb("read_dataset", "a number that is too large")
def coco_run_length(root: Path) -> Any:
    return coco_of(root, [{"size": [HEIGHT, WIDTH], "counts": "o" * 10**6 + "0"}])


@bomb("read_dataset", "crosses the image again and again")
def coco_outline(root: Path) -> Any:
    return coco_of(root, [[zigzag(3000, 20_000)]], side=3000)


@bomb("read_dataset", "1 images")
def coco_many_shapes(root: Path) -> Any:
    corners = [(4 * (n % 499), 4 * (n // 499)) for n in range(30_000)]
    return coco_of(root, [[[x, y, x + 3, y, x + 3, y + 3]] for x, y in corners], side=2000)


@bomb("read_dataset", "segmentation is neither polygons nor RLE")
def coco_wrong_segmentation(root: Path) -> Any:
    return coco_of(root, [["a"] * MANY])


@bomb("read_dataset", "annotations.0: Input should be an object")
def coco_wrong_items(root: Path) -> Any:
    return write_coco(root, [0] * MANY)  # type: ignore[list-item]


@bomb("read_dataset", "'xxxxx.*' is not in classes")
def coco_long_name(root: Path) -> Any:
    categories = [{"id": 7, "name": "dent"}, {"id": 8, "name": "stain"}, {"id": 9, "name": "x" * 300_000}]
    annotations = [annotation(number, [[1, 1, 2, 2, 3, 3]], category=9) for number in range(3000)]
    return write_coco(root, annotations, categories=categories)


@bomb("read_dataset", "recursion limit exceeded")
def coco_depth(root: Path) -> Any:
    settings = coco_of(root, [])
    (root / "annotations.json").write_text('{"images": [], "annotations": ' + "[" * 10**6)
    return settings


@bomb("read_dataset", "number out of range")
def coco_digits(root: Path) -> Any:
    settings = coco_of(root, [])
    (root / "annotations.json").write_text('{"images": [], "annotations": [' + "9" * 10**6 + "]}")
    return settings


def cvat(root: Path, shapes: str, head: str = "", side: int = 0, **settings: Any) -> DatasetSettings:
    write_image(root / "images/a.png")
    if side:
        (root / "images/a.png").write_bytes(png(side, side))
    size = f'width="{side or WIDTH}" height="{side or HEIGHT}"'
    image = f'<image id="0" name="a.png" {size}>{shapes}</image>'
    (root / "annotations.xml").write_text(f'<?xml version="1.0"?>{head}<annotations>{image}</annotations>')
    return dataset(root, "cvat_images", **settings)


@bomb("read_dataset", "document type definition")
def cvat_entities(root: Path) -> Any:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return cvat(root, '<tag label="&l9;"/>', f'<!DOCTYPE l [<!ENTITY l0 "ha">{entities}]>')


@bomb("read_dataset", "document type definition")
def cvat_file(root: Path) -> Any:
    (root / "secret").write_text("mine")
    return cvat(root, "<tag>&x;</tag>", f'<!DOCTYPE l [<!ENTITY x SYSTEM "file://{root}/secret">]>')


@bomb("read_dataset", "is not a number")
def cvat_digits(root: Path) -> Any:
    return cvat(root, f'<mask label="dent" left="0" top="0" width="9" height="9" rle="{"1" * 100_000}x"/>')


@bomb("read_dataset", "does not fit into the image")
def cvat_mask(root: Path) -> Any:
    return cvat(root, f'<mask label="dent" left="0" top="0" width="{10**6}" height="{10**6}" rle="{10**12}"/>')


@bomb("read_dataset", "1 images")
def cvat_boxes(root: Path) -> Any:
    box = '<box label="dent" xtl="0" ytl="0" xbr="3000" ybr="3000"/>'
    return cvat(root, box * 1000, side=3000, boxes="fill")


def labelme(root: Path, content: str) -> DatasetSettings:
    write_image(root / "images/a.png")
    (root / "images/a.json").write_text(f'{{"imagePath": "a.png", {content}}}')
    return dataset(root, "labelme")


@bomb("read_dataset", "larger than its image")
def labelme_mask(root: Path) -> Any:
    mask = base64.b64encode(png(20_000, 20_000, bits=1)).decode()
    places = '"points": [[0, 0], [19999, 19999]]'
    return labelme(root, f'"shapes": [{{"label": "dent", "shape_type": "mask", {places}, "mask": "{mask}"}}]')


@bomb("read_dataset", "shapes.0: Input should be an object")
def labelme_wrong_items(root: Path) -> Any:
    return labelme(root, f'"shapes": [{",".join(["0"] * MANY)}]')


@bomb("read_dataset", "flags.0.1: Input should be a valid boolean")
def labelme_wrong_flags(root: Path) -> Any:
    return labelme(root, f'"shapes": [], "flags": {{{",".join(f"{json.dumps(str(n))}: 9" for n in range(MANY))}}}')


def label_studio(root: Path, result: str, address: str = "a.png") -> DatasetSettings:
    write_image(root / "images/a.png")
    annotations = f'[{{"id": 1, "result": {result}}}]'
    (root / "tasks.json").write_text(f'[{{"id": 1, "data": {{"image": "{address}"}}, "annotations": {annotations}}}]')
    return dataset(root, "label_studio", annotations="tasks.json")


@bomb("read_dataset", "rle holds 4294967295 values")
def label_studio_brush(root: Path) -> Any:
    value = {"brushlabels": ["dent"], "format": "rle", "rle": [255] * 4 + [0] * 999}
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    return label_studio(root, json.dumps([{"id": "1", "type": "brushlabels", "value": value} | size]))


@bomb("read_dataset", "1 images")
def label_studio_depth(root: Path) -> Any:
    return label_studio(root, "[]", "a/" * 20_000 + "a.png")


@bomb("read_dataset", "1 images")
def label_studio_address(root: Path) -> Any:
    return label_studio(root, "[]", "http://[/a.png")


@bomb("read_dataset", "Input should be an object")
def label_studio_wrong_items(root: Path) -> Any:
    return label_studio(root, json.dumps([0] * MANY))


def packed_bitmap(data: bytes) -> dict[str, Any]:
    one = bitmap(shape())
    one["bitmap"]["data"] = base64.b64encode(zlib.compress(data)).decode()
    return one


@bomb("read_dataset", "larger than its image")
def supervisely_zlib(root: Path) -> Any:
    return write_supervisely(root, {"a.png": [packed_bitmap(bytes(5 * 10**8))]})


@bomb("read_dataset", "it is 20000 x 20000, larger than its image")
def supervisely_png(root: Path) -> Any:
    return write_supervisely(root, {"a.png": [packed_bitmap(png(20_000, 20_000, bits=1))]})


@bomb("read_dataset", "bitmap cannot be read")
def supervisely_postscript(root: Path) -> Any:
    return write_supervisely(root, {"a.png": [packed_bitmap(POSTSCRIPT)]})


@bomb("read_dataset", "objects.0: Input should be an object")
def supervisely_wrong_items(root: Path) -> Any:
    return write_supervisely(root, {"a.png": [0] * MANY})  # type: ignore[list-item]


# Text ---------------------------------------------------------------------------------------------------------------


def merge_keys(lines: int) -> str:
    """Lines of YAML of which each is a mapping ten times as large as the one before, if keys are merged."""
    merged = (f"x{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, lines))
    return "\n".join(["x0: &a0 {q: 1}", *merged]) + "\n"


@bomb("read_dataset", "1 images")
def yolo_merge_keys(root: Path) -> Any:
    settings = write_yolo(root, {"images/a.png": line(0, *SQUARE)}, "[dent, stain]")
    with (root / "data.yaml").open("a") as file:
        file.write(merge_keys(12))
    return settings


@bomb("read_dataset", "1 images")
def yolo_aliases(root: Path) -> Any:
    settings = write_yolo(root, {"images/a.png": line(0, *SQUARE)}, "[dent, stain]")
    lists = "\n".join(f"x{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 10)}]" for n in range(1, 11))
    with (root / "data.yaml").open("a") as file:
        file.write(f"x0: &b0 [lol]\n{lists}\n")
    return settings


@bomb("read_dataset", "1,048,576 are the most")
def yolo_names(root: Path) -> Any:
    return write_yolo(root, {"images/a.png": ""}, f"[{'a,' * 10**6}]")


@bomb("read_dataset", "is nested more than 50 deep")
def yolo_depth(root: Path) -> Any:
    return write_yolo(root, {"images/a.png": ""}, "[" * 100_000)


@bomb("read_dataset", "is not a number")
def yolo_digits(root: Path) -> Any:
    return write_yolo(root, {"images/a.png": f"0 {'1' * 100_000}x 1 1 1\n"})


@bomb("read_dataset", "the classes are {1: 'exit'}")
def yolo_semantic_object(root: Path) -> Any:
    write_masks(root, {"a": shape()})
    (root / "data.yaml").write_text("names: !!python/object/apply:os.system [exit]\n")
    return dataset(root, "yolo_semantic")


@bomb("read_dataset", "two columns have one name: a")
def table_header(root: Path) -> Any:
    settings = write_severstal(root, [], n_images=1)
    (root / "train.csv").write_text("a," * 50_000)
    return settings


@bomb("read_dataset", "1 images")
def table_of_empty_rows(root: Path) -> Any:
    return write_severstal(root, ["0.png,1,1 5", "\n" * 5_000_000], n_images=1)


@bomb("read_dataset", "is not in classes")
def table_digits(root: Path) -> Any:
    return write_severstal(root, [f"0.png,{'1' * 100_000}x,1 1"], n_images=1)


@bomb("read_dataset", "RLE run .* ends beyond the image")
def severstal_digits(root: Path) -> Any:
    return write_severstal(root, [f"0.png,1,{'1' * 5000} 1"], n_images=1)


@bomb("read_dataset", "areas must be whole numbers")
def area_digits(root: Path) -> Any:
    (root / "areas.csv").write_text(f"ImageId,area_1\na.png,{'1' * 5000}\n")
    return dataset(root, "area_table", height=10, width=10)


@bomb("read_given_roles", "split.csv.* not in images: 1 images: xxx.*[.]{3}")
def split_of_one_long_name(root: Path) -> Any:
    (root / "split.csv").write_text(f"image,split\n{'x' * 5_000_000},train\n")
    return coco_of(root, [])


# What is no file ----------------------------------------------------------------------------------------------------


@bomb("read_dataset", "1 images")
def pipe_as_annotations(root: Path) -> Any:
    settings = coco_of(root, [[[2, 2, 8, 2, 8, 8]]])
    os.mkfifo(root / "other.json")
    return settings.model_copy(update={"annotations": "*.json"})


@bomb("read_dataset", "data.yaml: .*not a file but a")
def pipe_as_class_names(root: Path) -> Any:
    settings = write_yolo(root, {"images/a.png": ""})
    (root / "data.yaml").unlink()
    os.mkfifo(root / "data.yaml")
    return settings


@bomb("read_given_roles", "0 roles")
def pipe_as_list(root: Path) -> Any:
    voc(root, png(HEIGHT, WIDTH))
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    os.mkfifo(root / "ImageSets/Segmentation/train.txt")
    return dataset(root, "pascal_voc")


@bomb("propose_study", "yolo:data.yaml: 1")
def list_outside_of_the_folder(root: Path) -> Any:
    os.mkfifo(root / "list.txt")
    write_yolo(root / "data", {"images/a.png": line(0, *SQUARE)})
    (root / "data/data.yaml").write_text("names: [dent]\ntrain: ../list.txt\n")
    return root / "data"


# A study of a folder ------------------------------------------------------------------------------------------------


@bomb("propose_study", "20,000 classes; 1,000 are the most")
def study_of_many_classes(root: Path) -> Any:
    write_yolo(root, {"images/a.png": line(0, *SQUARE)}, f"[{','.join(f'c{n}' for n in range(20_000))}]")


@bomb("propose_study", "mask_folder:masks: 1")
def study_of_pictures(root: Path) -> Any:
    write_masks(root, {"a": shape()})
    Image.fromarray(all_colours(2000)).save(root / "images/a.png", compress_level=1)
    mask = np.zeros((2000, 2000), np.uint8)
    mask[:9] = 1
    Image.fromarray(mask).save(root / "masks/a.png")


# Archives -----------------------------------------------------------------------------------------------------------


def archive(folder: Path, data: bytes) -> Path:
    (folder / "archive").write_bytes(data)
    return folder / "archive"


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return file.getvalue()


def said_to_be(name: str, kind: bytes, size: int) -> bytes:
    """The header of a member of a tar archive."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


@bomb("unpack_archive", "refused, would unpack to more than 268,435,456 bytes")
def zip_ratio(folder: Path) -> Any:
    return archive(folder, zipped({"a": bytes(419 * 10**6)}))


@bomb("unpack_archive", "refused, would unpack to more than")
def zip_overlapping(folder: Path) -> Any:
    """One member that the directory lists 400 times."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("0", bytes(10**6))
        for number in range(1, 400):
            again = zipfile.ZipInfo(str(number))
            for key in ("compress_type", "CRC", "compress_size", "file_size", "header_offset"):
                setattr(again, key, getattr(packed.filelist[0], key))
            packed.filelist.append(again)
    return archive(folder, file.getvalue())


@bomb("unpack_archive", "would fill the disk|refused, would unpack to more than")
def zip_that_says_too_much(folder: Path) -> Any:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("a", b"x")
        packed.filelist[0].file_size = 2**50
    return archive(folder, file.getvalue())


@bomb("unpack_archive", "is not stored or deflated")
def zip_of_another_method(folder: Path) -> Any:
    return archive(folder, zipped({"a": bytes(2 * 10**8)}, zipfile.ZIP_BZIP2))


@bomb("unpack_archive", "refused, would unpack to more than")
def tar_ratio(folder: Path) -> Any:
    return archive(folder, gzip.compress(said_to_be("a", tarfile.REGTYPE, 419 * 10**6) + bytes(419 * 10**6), 1))


@bomb("unpack_archive", "a header of more than 1,048,576 bytes")
def tar_header(folder: Path) -> Any:
    return archive(folder, gzip.compress(said_to_be("a", tarfile.XHDTYPE, 4 * 10**8) + bytes(4 * 10**8), 1))


@bomb("unpack_archive", "a header of more than 1,048,576 bytes")
def tar_name(folder: Path) -> Any:
    return archive(folder, gzip.compress(said_to_be("a", tarfile.GNUTYPE_LONGNAME, 4 * 10**8) + bytes(4 * 10**8), 1))


@bomb("unpack_archive", "1 files")
def zip_in_zip(folder: Path) -> Any:
    return archive(folder, zipped({"inner.zip": zipped({"a": bytes(10**8)})}))


# Hugging Face -------------------------------------------------------------------------------------------------------


def rows(images: Sequence[object], masks: Sequence[object]) -> pa.Table:
    return pa.table({"image": pa.array(images, pa.binary()), "mask": pa.array(masks, pa.binary())})


@bomb("unpack_rows", "would unpack to more than")
def parquet_of_one_value(root: Path) -> Any:
    value = png(9, 9) + bytes(30 * 10**6)
    options: dict[str, Any] = {"compression": "zstd", "dictionary_pagesize_limit": 2**30}
    pq.write_table(rows([value] * 10, [None] * 10), root / "train.parquet", **options)


@bomb("unpack_rows", "would unpack from .* as pictures do not")
def parquet_page(root: Path) -> Any:
    pq.write_table(rows([bytes(3 * 10**8)], [None]), root / "train.parquet", compression="zstd", use_dictionary=False)


@bomb("unpack_rows", "is compressed; save it")
def arrow_page(root: Path) -> Any:
    table = rows([bytes(3 * 10**8)], [None])
    with pa.ipc.new_stream(root / "data.arrow", table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as to:
        to.write_table(table)


@bomb("unpack_rows", "recursion")
def json_depth(root: Path) -> Any:
    (root / "metadata.jsonl").write_text('{"image": ' + "[" * 10**6 + "\n")

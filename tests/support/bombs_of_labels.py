"""Labels with shapes that would take all memory, or hours, to read or to draw."""

import base64
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bombs import MANY, POSTSCRIPT, bomb, dataset
from bombs_of_images import png
from foreign_datasets import annotation, bitmap, shape, write_coco, write_supervisely
from small_datasets import HEIGHT, WIDTH, write_image

from defectbench.config.dataset import DatasetSettings


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
    return write_supervisely(root, {"a.png": [packed_bitmap(bytes(15 * 10**7))]})


@bomb("read_dataset", "it is 20000 x 20000, larger than its image")
def supervisely_png(root: Path) -> Any:
    return write_supervisely(root, {"a.png": [packed_bitmap(png(20_000, 20_000, bits=1))]})


@bomb("read_dataset", "bitmap cannot be read")
def supervisely_postscript(root: Path) -> Any:
    return write_supervisely(root, {"a.png": [packed_bitmap(POSTSCRIPT)]})


@bomb("read_dataset", "objects.0: Input should be an object")
def supervisely_wrong_items(root: Path) -> Any:
    return write_supervisely(root, {"a.png": [0] * MANY})  # type: ignore[list-item]

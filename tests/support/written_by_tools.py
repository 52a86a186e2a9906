"""The small dataset of written_differently, in the formats of annotation tools and benchmarks."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from itertools import groupby, product
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from mask_files import VOC, with_palette
from PIL import Image
from written_differently import (
    CLASSES,
    ENCODINGS,
    HEIGHT,
    SHAPES,
    SPELLINGS,
    WIDTH,
    Box,
    Layout,
    Variant,
    index_of,
    layouts,
    noted,
    truth,
)

Write = Callable[[Path], dict[str, Any]]


# CVAT for images --------------------------------------------------------------------------------------------------


def cvat_run_lengths(part: np.ndarray) -> list[int]:
    """Lengths of the runs along the rows, background first, as CVAT writes them."""
    runs = [(bool(value), len(list(group))) for value, group in groupby(part.ravel().tolist())]
    return [length for _, length in ([(False, 0)] if runs[0][0] else []) + runs]


def cvat_element(kind: str, c: int, box: Box) -> str:
    top, bottom, left, right = box
    label = f"label={quoteattr(CLASSES[c])}"
    if kind == "polygon":
        return f'<polygon {label} points="{left}.00,{top}.00;{right},{top};{right},{bottom};{left},{bottom}"/>'
    if kind == "box":
        return f'<box {label} xtl="{left}" ytl="{top}" xbr="{right}.0" ybr="{bottom}"></box>'
    # A box with a margin, so that runs begin and end with background where there is room.
    y, x, end_y, end_x = max(top - 1, 0), max(left - 2, 0), min(bottom + 1, HEIGHT), min(right + 1, WIDTH)
    part = np.zeros((HEIGHT, WIDTH), np.uint8)
    part[top:bottom, left:right] = 1
    lengths = ", ".join(map(str, cvat_run_lengths(part[y:end_y, x:end_x])))
    return f'<mask {label} rle="{lengths}" left="{x}" top="{y}" width="{end_x - x}" height="{end_y - y}"/>'


def cvat_xml(elements: dict[str, list[str]]) -> str:
    """A file of images, by name, with their elements."""
    images = "".join(
        f'<image id="{n}" name={quoteattr(name)} width="{WIDTH}" height="{HEIGHT}">\n{"".join(of_image)}\n</image>\n'
        for n, (name, of_image) in enumerate(elements.items())
    )
    meta = "<meta><task><labels><label><name>dent</name></label></labels></task></meta>\n"
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
    return f"{head}{meta}{images}</annotations>\n"


def cvat_images(layout: Layout, kind: str, encoding: str) -> Write:
    def write(root: Path) -> dict[str, Any]:
        layout.write_images(root, "images/{lot}")
        elements = {
            layout.name(stem): [cvat_element(kind, *shape) for shape in shapes] for stem, shapes in SHAPES.items()
        }
        (root / "annotations.xml").write_bytes(ENCODINGS[encoding](cvat_xml(elements)))
        layout.finish(root, "images/lot2")
        return {"boxes": "fill"} if kind == "box" else {}

    return write


def cvat_subsets(root: Path) -> dict[str, Any]:
    """Images in folders of their subsets, which their names do not have, and two files."""
    Layout().write_images(root, "images/{lot}")
    for lot in ("lot1", "lot2"):
        elements = {
            stem: [cvat_element("mask", *one) for one in shapes] for stem, shapes in SHAPES.items() if lot in stem
        }
        text = cvat_xml({f"{Path(stem).name}.png": of_image for stem, of_image in elements.items()})
        (root / f"{lot}.xml").write_text(text.replace("<image ", f'<image subset="{lot}" '))
    return {"annotations": "*.xml"}


def cvat_image_variants() -> Iterator[Variant]:
    for name, layout in layouts(list(SPELLINGS)):
        yield Variant(f"cvat-{name}", "cvat_images", cvat_images(layout, "polygon", "utf8"), noted=noted(layout))
    for kind, encoding in product(["polygon", "mask", "box"], ENCODINGS):
        yield Variant(f"cvat-{kind}-{encoding}", "cvat_images", cvat_images(Layout(), kind, encoding))
    yield Variant("cvat-subsets", "cvat_images", cvat_subsets)


# LabelMe ----------------------------------------------------------------------------------------------------------


def labelme_shape(kind: str, c: int, box: Box) -> dict[str, Any]:
    top, bottom, left, right = box
    ends = [[left, top], [right - 1, bottom - 1]]
    shape = {"label": CLASSES[c], "shape_type": kind, "points": ends, "group_id": None, "flags": {}}
    if kind == "mask":
        file = io.BytesIO()
        Image.new("1", (right - left, bottom - top), 1).save(file, "PNG")
        return shape | {"mask": base64.b64encode(file.getvalue()).decode()}
    if kind == "rectangle":
        return shape | {"points": ends[::-1]}  # drawn from the lower right corner
    corners = [[left, top], [right - 0.5, top], [right - 1, bottom - 0.25], [left, bottom - 1]]
    return shape | {"points": corners} | ({} if kind == "polygon" else {"shape_type": None})


def labelme_file(name: str, shapes: list[dict], **changes: object) -> dict[str, Any]:
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": name, "imageData": None}
    return content | {"imageHeight": HEIGHT, "imageWidth": WIDTH} | changes


def labelme(layout: Layout, kind: str, place: str, clean: str, encoding: str) -> Write:
    def write(root: Path) -> dict[str, Any]:
        images, labels = ("photos/{lot}", "photos/{lot}") if place == "beside" else ("images/{lot}", "json/{lot}")
        layout.write_images(root, images)
        for stem, shapes in SHAPES.items():
            lot, name = stem.split("/")
            path = root / labels.format(lot=lot) / SPELLINGS[layout.spell](f"{name}.json")
            path.parent.mkdir(parents=True, exist_ok=True)
            content = labelme_file(f"..\\{name}{layout.suffix}", [labelme_shape(kind, *shape) for shape in shapes])
            if shapes or clean == "empty":
                path.write_bytes(ENCODINGS[encoding](json.dumps(content)))
        layout.finish(root, f"{Path(images).parent}/lot2")
        values = {"images_dir": "photos"} if place == "beside" else {"labels_dir": "json"}
        return values | ({"missing_label": "clean"} if clean == "absent" else {})

    return write


def labelme_variants() -> Iterator[Variant]:
    for name, layout in layouts(["same", "upper", "nfd"]):
        write = labelme(layout, "polygon", "beside", "empty", "utf8")
        yield Variant(f"labelme-{name}", "labelme", write, noted=noted(layout))
    for choice in product(["polygon", "old", "rectangle", "mask"], ["beside", "apart"], ["empty", "absent"], ENCODINGS):
        yield Variant("labelme-" + "-".join(choice), "labelme", labelme(Layout(), *choice))


# Label Studio -----------------------------------------------------------------------------------------------------


def brush_code(mask: np.ndarray, literal: bool, sizes: tuple[int, ...] = (3, 4, 8, 16), alpha: int = 255) -> list[int]:
    """Label Studio's code of a brush, bit by bit as its format says; ``literal`` writes out each value of some runs."""
    values = np.repeat(mask.ravel() * alpha, 4).tolist()
    bits = format(len(values), "032b") + format(8 - 1, "05b") + "".join(format(size - 1, "04b") for size in sizes)
    at = 0
    while at < len(values):
        number = at // 4
        count = min(7, len(values) - at) if literal and number % 3 else 1
        if count == 1:
            while at + count < len(values) and values[at + count] == values[at] and count < 2 ** sizes[3]:
                count += 1
        same = len(set(values[at : at + count])) == 1 and not (literal and number % 3)
        which = next(index for index, size in enumerate(sizes) if count <= 2**size)
        bits += ("1" if same else "0") + format(which, "02b") + format(count - 1, f"0{sizes[which]}b")
        bits += "".join(format(value, "08b") for value in (values[at : at + 1] if same else values[at : at + count]))
        at += count
    bits += "0" * (-len(bits) % 8)
    return [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]


def region(kind: str, label: str, value: dict[str, Any], number: str = "r") -> list[dict[str, Any]]:
    """The results of a region: one, or with a separate result for its label if ``kind`` has none."""
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    place = {"id": number, "from_name": "tag", "to_name": "image"} | size
    if kind.endswith("labels"):
        return [place | {"type": kind, "value": value | {kind: [label]}}]
    return [place | {"type": kind, "value": value}, place | {"type": "labels", "value": value | {"labels": [label]}}]


def label_studio_region(kind: str, c: int, box: Box, number: str) -> list[dict[str, Any]]:
    top, bottom, left, right = box
    x, y, end_x, end_y = (100 * left / WIDTH, 100 * top / HEIGHT, 100 * right / WIDTH, 100 * bottom / HEIGHT)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top:bottom, left:right] = 1
    values = {
        "brush": {"format": "rle", "rle": brush_code(mask, literal=kind == "brush")},
        "polygon": {"closed": True, "points": [[x, y], [end_x, y], [end_x, end_y], [x, end_y]]},
        "rectangle": {"x": x, "y": y, "width": end_x - x, "height": end_y - y, "rotation": 0},
    }
    return region(kind, CLASSES[c], values[kind.removesuffix("labels")], number)


def label_studio_task(number: int, image: str, results: list[dict], **more: object) -> dict[str, Any]:
    answer = {"type": "choices", "value": {"choices": ["sure"]}, "from_name": "sure", "to_name": "image", "id": "c"}
    annotation = {"id": 10 * number, "completed_by": 1, "result": [*results, answer], "was_cancelled": False}
    predictions = [{"result": region("brushlabels", "another", {"rle": []})}]
    task = {"id": number, "data": {"image": image}, "annotations": [annotation], "predictions": predictions}
    return task | more


ADDRESSES = {
    "plain": "{0}",
    "local": "/data/local-files/?d=images/{0}",
    "bucket": "s3://bucket/lots/{0}",
    "web": "https://example.com/data/{0}?key=1",
    "upload": "/data/upload/3/1a2b3c4d-{1}",
}


def label_studio(layout: Layout, kind: str, address: str, encoding: str) -> Write:
    def write(root: Path) -> dict[str, Any]:
        layout.write_images(root, "images/{lot}")
        tasks = []
        for n, (stem, shapes) in enumerate(SHAPES.items()):
            name = layout.name(stem)
            quoted = name.replace("%", "%25").replace("{", "%7B").replace("ä", "%C3%A4").replace(" ", "%20")
            uploaded = Path(quoted).name.replace("%20", "_")
            image = ADDRESSES[address].format(name if address == "plain" else quoted, uploaded)
            results = [one for i, shape in enumerate(shapes) for one in label_studio_region(kind, *shape, f"r{i}")]
            tasks.append(label_studio_task(n, image, results))
        (root / "project-1-at-2024-05-06.json").write_bytes(ENCODINGS[encoding](json.dumps(tasks, ensure_ascii=False)))
        layout.finish(root, "images/lot2")
        return {"boxes": "fill"} if kind.startswith("rectangle") else {}

    return write


def label_studio_variants() -> Iterator[Variant]:
    for name, layout in layouts(list(SPELLINGS)):
        write = label_studio(layout, "polygonlabels", "plain", "utf8")
        yield Variant(
            f"label_studio-{name}", "label_studio", write, noted=noted(layout) if name != "backslash" else set()
        )
    for address in ADDRESSES:
        # An upload has lost the folder.
        said = {"name written differently"} if address == "upload" else set()
        write = label_studio(Layout(), "brushlabels", address, "utf8")
        yield Variant(f"label_studio-{address}", "label_studio", write, noted=said)
    kinds = [f"{kind}{end}" for kind in ("brush", "polygon", "rectangle") for end in ("", "labels")]
    for kind, encoding in product(kinds, ENCODINGS):
        yield Variant(
            f"label_studio-{kind}-{encoding}", "label_studio", label_studio(Layout(), kind, "plain", encoding)
        )


# Pascal VOC and CVAT's masks --------------------------------------------------------------------------------------

VOC_MASKS: dict[str, Callable[[np.ndarray], Image.Image]] = {
    "palette": lambda mask: with_palette(mask, *VOC),
    "shuffled": lambda mask: with_palette(np.array([2, 0, 1], np.uint8)[mask], VOC[1], VOC[2], VOC[0]),
    "rgb": lambda mask: Image.fromarray(np.array(VOC, np.uint8)[mask]),
    "grey": Image.fromarray,
}
CVAT_COLOURS = {"background": (10, 20, 30), "dent": (250, 50, 83), "no": (51, 221, 255), "other": (1, 2, 3)}


def voc_layout(layout: Layout, save: Callable[[np.ndarray], Image.Image], clean: str, label_map: bytes = b"") -> Write:
    def write(root: Path) -> dict[str, Any]:
        layout.write_images(root, "JPEGImages/{lot}")
        for stem in SHAPES:
            path = root / "SegmentationClass" / SPELLINGS[layout.spell](f"{stem}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            if clean == "empty" or SHAPES[stem]:
                save(index_of(stem)).save(path)
        if label_map:
            (root / "labelmap.txt").write_bytes(label_map)
        layout.finish(root, "JPEGImages/lot2")
        layout.finish(root, "SegmentationClass/lot2")
        return {"missing_mask": "clean"} if clean == "absent" else {}

    return write


def in_cvat_colours(mask: np.ndarray) -> Image.Image:
    return Image.fromarray(np.array([*CVAT_COLOURS.values()], np.uint8)[mask])


def label_map(encoding: str) -> bytes:
    lines = [f"{name}:{','.join(map(str, colour))}::\n" for name, colour in CVAT_COLOURS.items()]
    return ENCODINGS[encoding]("".join(["# label:color_rgb:parts:actions\n", *lines]))


def voc_variants() -> Iterator[Variant]:
    for (name, save), clean in product(VOC_MASKS.items(), ["empty", "absent"]):
        yield Variant(f"voc-{name}-{clean}", "pascal_voc", voc_layout(Layout(), save, clean))
    for name, layout in layouts(["same", "title", "nfd"]):
        write = voc_layout(layout, VOC_MASKS["palette"], "empty")
        yield Variant(f"voc-{name}", "pascal_voc", write, noted=noted(layout))
    for encoding, clean in product(ENCODINGS, ["empty", "absent"]):
        write = voc_layout(Layout(), in_cvat_colours, clean, label_map(encoding))
        yield Variant(f"cvat_masks-{encoding}-{clean}", "cvat_masks", write)
    for name, layout in layouts(["same", "title", "nfd"]):
        write = voc_layout(layout, in_cvat_colours, "empty", label_map("utf8"))
        yield Variant(f"cvat_masks-{name}", "cvat_masks", write, noted=noted(layout))


# Ultralytics' semantic masks --------------------------------------------------------------------------------------

SEMANTIC = {
    "list": "names: [background, dent, no]",
    "dict": "names:\n  0: background\n  1: dent\n  2: no",
    "last": "names: {0: nothing, 1: dent, 2: no, 5: Background}\nlabel_mapping: {0: 5, 3: 1, 4: ' 2'}",
}


def yolo_semantic(layout: Layout, names: str, encoding: str, n_classes: int = 2) -> Write:
    def write(root: Path) -> dict[str, Any]:
        layout.write_images(root, "images/{lot}")
        for stem in SHAPES:
            path = root / "masks" / SPELLINGS[layout.spell](f"{stem}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            mask = truth(stem, 1)[0] if n_classes == 1 else index_of(stem)
            Image.fromarray(np.array([0, 3, 4], np.uint8)[mask] if names == "last" else mask).save(path)
        text = SEMANTIC[names] if n_classes == 2 else "names: [dent]"
        (root / "data.yaml").write_bytes(ENCODINGS[encoding](f"masks_dir: masks\n{text}\n"))
        layout.finish(root, "masks/lot2")
        return {} if n_classes == 2 else {"classes": {1: "dent"}}

    return write


def yolo_semantic_variants() -> Iterator[Variant]:
    for names, encoding in product(SEMANTIC, ENCODINGS):
        yield Variant(f"semantic-{names}-{encoding}", "yolo_semantic", yolo_semantic(Layout(), names, encoding))
    for name, layout in layouts(["same", "title", "nfd"]):
        write = yolo_semantic(layout, "list", "utf8")
        yield Variant(f"semantic-{name}", "yolo_semantic", write, noted=noted(layout))
    yield Variant("semantic-one", "yolo_semantic", yolo_semantic(Layout(), "", "utf8", 1), n_classes=1)


# Binary masks by class, and MVTec ---------------------------------------------------------------------------------

CLASS_PLACES = {
    "name": ("folder", "masks/{name}/{lot}/{stem}"),
    "value": ("folder", "masks/{value}/{lot}/{stem}"),
    "inside": ("folder", "masks/{lot}/{name}/{stem}"),
    "title": ("folder", "masks/{title}/{lot}/{stem}"),
    "end": ("file_name", "masks/{lot}/{stem}_{name}"),
    "end_value": ("file_name", "masks/{lot}/{stem}-{value}"),
    "end_title": ("file_name", "masks/{lot}/{stem} {title}"),
}


def class_masks(layout: Layout, place: str, suffix: str, clean: str) -> Write:
    class_from, pattern = CLASS_PLACES[place]

    def write(root: Path) -> dict[str, Any]:
        layout.write_images(root, "images/{lot}")
        for stem, (value, name) in product(SHAPES, CLASSES.items()):
            lot, file = stem.split("/")
            path = pattern.format(lot=lot, stem=file, name=name, value=value, title=name.title())
            mask = truth(stem, 2)[value - 1]
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            if mask.any() or clean == "empty":
                Image.fromarray(mask * 255).save(root / f"{path}{suffix}.png")
        layout.finish(root, "images/lot2")
        values = {"mask_kind": "binary", "class_from": class_from, "mask_suffix": suffix}
        return values | ({"missing_mask": "clean"} if clean == "absent" else {})

    return write


def mvtec(layout: Layout, place: str, good: str) -> Write:
    """A product for each lot, or one with lots as kinds of defects."""

    def write(root: Path) -> dict[str, Any]:
        for n, stem in enumerate(SHAPES):
            lot, name = stem.split("/")
            role = "train" if not SHAPES[stem] and n % 2 else "test"
            kind = "defect" if SHAPES[stem] else good
            part = Path(lot) if place == "products" else Path()
            path = root / part / role / kind / ("" if place == "products" else lot) / f"{name}{layout.suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Layout(suffix=layout.suffix).write_images(root / "all", "{lot}")
            (root / "all" / f"{stem}{layout.suffix}").replace(path)
            if SHAPES[stem]:
                mask = root / part / "ground_truth" / kind / ("" if place == "products" else lot) / f"{name}_mask.png"
                mask.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(truth(stem, 1)[0] * 255).save(mask)
        for path in sorted((root / "all").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (root / "all").rmdir()
        return {"classes": {1: "dent"}, "class_from": None} | ({"good": good} if good != "good" else {})

    return write


def binary_variants() -> Iterator[Variant]:
    for place, suffix, clean in product(CLASS_PLACES, ["", "_mask"], ["empty", "absent"]):
        write = class_masks(Layout(), place, suffix, clean)
        yield Variant(f"by_class-{place}{suffix}-{clean}", "mask_folder", write)
    for suffix, place, good in product([".png", ".bmp"], ["products", "lots"], ["good", "ok"]):
        write = mvtec(Layout(suffix=suffix), place, good)
        yield Variant(f"mvtec-{suffix}-{place}-{good}", "mvtec", write, n_classes=1)


TOOL_VARIANTS = [
    *cvat_image_variants(),
    *labelme_variants(),
    *label_studio_variants(),
    *voc_variants(),
    *yolo_semantic_variants(),
    *binary_variants(),
]

"""One small dataset, written in every format, encoding, layout and kind of mask that can hold it."""

import base64
import codecs
import io
import json
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from mask_files import BINARY_MASKS, COLOUR_MASKS, COLOURS, INDEX_MASKS
from PIL import Image
from pycocotools import mask as coco_tools

HEIGHT, WIDTH = 16, 24
Box = tuple[int, int, int, int]  # top, bottom, left, right; the lower and right ends are not inside
SHAPES: dict[str, list[tuple[int, Box]]] = {
    "lot1/01 ä{0}": [(1, (2, 6, 3, 9))],
    "lot1/02b": [],
    "lot1/03c": [(2, (4, 12, 10, 20))],
    "lot2/04d": [(1, (0, 16, 0, 4)), (2, (8, 9, 6, 24))],
    "lot2/05e": [],
    "lot2/06f": [(1, (15, 16, 23, 24))],
}
CLASSES = {1: "dent", 2: "no"}
"""The second is a name that YAML takes for a truth value."""


def picture(stem: str) -> np.ndarray:
    """The image of a stem, (HEIGHT, WIDTH) uint8."""
    return np.random.default_rng(list(SHAPES).index(stem)).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)


def truth(stem: str, n_classes: int) -> np.ndarray:
    """The masks of a stem, (n_classes, HEIGHT, WIDTH) uint8; of one class, the union of both."""
    masks = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    for value, (top, bottom, left, right) in SHAPES[stem]:
        masks[value - 1, top:bottom, left:right] = 1
    return masks if n_classes == 2 else masks.max(axis=0, keepdims=True)


def index_of(stem: str) -> np.ndarray:
    """The masks of a stem as one of values 0, 1 and 2; no two shapes overlap."""
    return (truth(stem, 2) * np.array([1, 2], np.uint8)[:, None, None]).max(axis=0)


@dataclass
class Layout:
    """Where images are, and how labels write their names."""

    suffix: str = ".png"
    spell: str = "same"
    linked: bool = False
    junk: bool = False

    def write_images(self, root: Path, folder: str) -> None:
        """Write all images below ``root``/``folder``, a ``folder`` with {lot} for that part of a stem."""
        for stem in SHAPES:
            lot, name = stem.split("/")
            path = root / folder.format(lot=lot) / f"{name}{self.suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            options = {"lossless": True} if self.suffix == ".webp" else {}
            Image.fromarray(picture(stem)).save(path, **options)
            if self.junk:
                (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7")
                (path.parent / ".ipynb_checkpoints").mkdir(exist_ok=True)
                (path.parent / ".ipynb_checkpoints" / path.name).write_bytes(path.read_bytes())
                (path.parent / "Thumbs.db").touch()

    def finish(self, root: Path, folder: str) -> None:
        """Replace ``root``/``folder``, if there is one, by a link to a folder elsewhere that has its content."""
        if self.linked and (root / folder).is_dir():
            place = root.parent / f"disk of {root.name}" / folder
            place.parent.mkdir(parents=True, exist_ok=True)
            (root / folder).replace(place)
            (root / folder).symlink_to(place)

    def name(self, stem: str) -> str:
        """The name of an image in a table."""
        return SPELLINGS[self.spell](stem + self.suffix)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "same": str,
    "upper": lambda name: name[:-4] + name[-4:].upper(),
    "title": lambda name: "/".join(part.capitalize() for part in name.split("/")),
    "nfd": lambda name: unicodedata.normalize("NFD", name),
    "backslash": lambda name: name.replace("/", "\\"),
    "dot": lambda name: f"./{name}",
}
ENCODINGS = {
    "utf8": lambda text: text.encode(),
    "bom": lambda text: codecs.BOM_UTF8 + text.encode(),
    "utf16": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
    "blank": lambda text: (text + "\n\n").encode(),
}


@dataclass
class Variant:
    """One way to write the dataset; ``write`` gives the settings without name, format and root."""

    name: str
    form: str
    write: Callable[[Path], dict[str, Any]]
    n_classes: int = 2
    noted: set[str] = field(default_factory=set)
    """Findings that ingest must note."""


def layouts(spellings: list[str]) -> Iterator[tuple[str, Layout]]:
    """Spellings of names with other things changed beside, and other suffixes."""
    for spell in spellings:
        yield spell, Layout(spell=spell)
    yield "linked", Layout(linked=True)
    yield "junk", Layout(junk=True)
    for suffix in (".bmp", ".tif", ".webp", ".PNG"):
        yield suffix[1:], Layout(suffix=suffix)


def noted(layout: Layout) -> set[str]:
    """What ingest must say of a layout."""
    wanted = {"name written differently"} if layout.spell not in ("same", "dot") else set()
    wanted |= {"link out of the data"} if layout.linked else set()
    return wanted | ({"passed over"} if layout.junk else set())


# Severstal's table ------------------------------------------------------------------------------------------------


def code(mask: np.ndarray) -> str:
    """Kaggle's run-length code: pairs of start, from 1, and length, down the columns."""
    flat = np.concatenate([[0], mask.ravel(order="F"), [0]]).astype(int)
    starts, ends = np.flatnonzero(np.diff(flat) == 1), np.flatnonzero(np.diff(flat) == -1)
    return " ".join(f"{start + 1} {end - start}" for start, end in zip(starts, ends, strict=True))


def severstal(
    layout: Layout, separator: str, clean: str, value: str, old: bool, encoding: str
) -> Callable[[Path], dict]:
    def write(root: Path) -> dict[str, Any]:
        layout.write_images(root, "train_images/{lot}")
        lines = [
            separator.join(["ImageId_ClassId", "EncodedPixels"] if old else ["ImageId", "ClassId", "EncodedPixels"])
        ]
        for stem in SHAPES:
            rows = [(CLASS_TEXTS[value].format(c + 1), code(m)) for c, m in enumerate(truth(stem, 2)) if m.any()]
            if clean != "absent" and not rows:
                rows = [("1" if old else CLEAN[clean], CLEAN[clean])]
            for class_text, text in rows:
                name = layout.name(stem)
                cells = [f"{name}_{class_text}"] if old else [name, class_text]
                lines.append(separator.join([*cells, text]))
        (root / "labels.csv").write_bytes(ENCODINGS[encoding]("\n".join(lines) + "\n"))
        layout.finish(root, "train_images/lot2")
        return {"csv": "labels.csv"}

    return write


CLASS_TEXTS = {"int": "{}", "float": "{}.0", "exp": "{}.000e+00"}
CLEAN = {"empty": "", "minus": "-1", "nan": "NaN"}


def severstal_variants() -> Iterator[Variant]:
    plain = {"separator": ",", "clean": "absent", "value": "int", "old": False, "encoding": "utf8"}
    for name, layout in layouts(list(SPELLINGS)):
        yield Variant(f"severstal-{name}", "severstal_csv", severstal(layout, **plain), noted=noted(layout))
    for choice in product(",;\t", ["absent", *CLEAN], CLASS_TEXTS, [False, True], ["utf8", "bom", "utf16"]):
        changes = dict(zip(plain, choice, strict=True))
        name = "-".join(map(repr, choice))
        yield Variant(f"severstal-{name}", "severstal_csv", severstal(Layout(), **changes))
    for encoding in ("crlf", "blank"):
        yield Variant(f"severstal-{encoding}", "severstal_csv", severstal(Layout(), **plain | {"encoding": encoding}))


# YOLO -------------------------------------------------------------------------------------------------------------

NUMBERS = {"g": "{:.17g}", "f": "{:.6f}", "e": "{:.10e}"}
CLASS_IDS = {"int": "{}", "float": "{}.0", "exp": "{}.000e+00"}
YOLO_PLACES = {
    "split": ("images/{lot}", "labels/{lot}", "images"),
    "roboflow": ("{lot}/images", "{lot}/labels", "."),
    "beside": ("{lot}", "{lot}", "."),
}
NAMES = {"list": "names: [dent, no]", "dict": "names: {0: dent, 1: no}", "block": "names:\n  0: dent\n  1: 'no'"}


def yolo(
    layout: Layout, place: str, number: str, value: str, clean: str, encoding: str, names: str
) -> Callable[[Path], dict]:
    images, labels, images_dir = YOLO_PLACES[place]

    def write(root: Path) -> dict[str, Any]:
        layout.write_images(root, images)
        for stem, shapes in SHAPES.items():
            lot, name = stem.split("/")
            lines = [yolo_line(value, number, c, box) for c, box in shapes]
            path = root / labels.format(lot=lot) / f"{SPELLINGS[layout.spell](name + '.txt')}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if lines or clean == "empty":
                path.write_bytes(ENCODINGS[encoding]("".join(lines)))
        (root / "data.yaml").write_bytes(ENCODINGS[encoding](f"nc: 2\n{NAMES[names]}\n"))
        if place == "split":
            layout.finish(root, "images/lot2")
            layout.finish(root, "labels/lot2")
        return {"images_dir": images_dir, "classes": {0: "dent", 1: "no"}}

    return write


def yolo_line(value: str, number: str, c: int, box: Box) -> str:
    top, bottom, left, right = box
    corners = [(left, top), (right - 1, top), (right - 1, bottom - 1), (left, bottom - 1)]
    shares = [share for x, y in corners for share in (x / WIDTH, y / HEIGHT)]
    return " ".join([CLASS_IDS[value].format(c - 1), *(NUMBERS[number].format(share) for share in shares)]) + "\n"


def yolo_variants() -> Iterator[Variant]:
    plain = {"place": "split", "number": "g", "value": "int", "clean": "empty", "encoding": "utf8", "names": "list"}
    for name, layout in layouts(["same", "upper", "nfd"]):
        yield Variant(f"yolo-{name}", "yolo", yolo(layout, **plain), noted=noted(layout))
    for choice in product(YOLO_PLACES, NUMBERS, CLASS_IDS, ["empty", "absent"], ["utf8", "bom", "utf16"], ["list"]):
        yield Variant("yolo-" + "-".join(choice), "yolo", yolo(Layout(), **dict(zip(plain, choice, strict=True))))
    for encoding, names in product(["crlf", "blank"], NAMES):
        changes = plain | {"encoding": encoding, "names": names}
        yield Variant(f"yolo-{encoding}-{names}", "yolo", yolo(Layout(), **changes))


# COCO -------------------------------------------------------------------------------------------------------------


def coco_shape(kind: str, box: Box) -> Any:
    top, bottom, left, right = box
    if kind == "polygon":
        return [[left, top, right, top, right, bottom, left, bottom]]
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top:bottom, left:right] = 1
    compressed = coco_tools.encode(np.asfortranarray(mask))
    if kind == "rle":
        return {"size": compressed["size"], "counts": compressed["counts"].decode()}
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
    return {"size": [HEIGHT, WIDTH], "counts": np.diff([0, *changes, flat.size]).tolist()}


def coco(layout: Layout, kind: str, ids: type, prefix: str, encoding: str) -> Callable[[Path], dict]:
    def write(root: Path) -> dict[str, Any]:
        layout.write_images(root, "images/{lot}")
        size = {"height": HEIGHT, "width": WIDTH}
        images = [
            {"id": ids(10 * n), "file_name": SPELLINGS[layout.spell](prefix + stem + layout.suffix)} | size
            for n, stem in enumerate(SHAPES)
        ]
        shapes = [(n, c, box) for n, stem in enumerate(SHAPES) for c, box in SHAPES[stem]]
        annotations = [
            {"id": 7 * i, "image_id": ids(10 * n), "category_id": 3 - c, "segmentation": coco_shape(kind, box)}
            for i, (n, c, box) in enumerate(shapes)
        ]
        categories = [{"id": 2, "name": "dent"}, {"id": 1, "name": "no"}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations.json").write_bytes(ENCODINGS[encoding](json.dumps(content, ensure_ascii=False)))
        layout.finish(root, "images/lot2")
        return {}

    return write


def coco_variants() -> Iterator[Variant]:
    for name, layout in layouts(list(SPELLINGS)):
        yield Variant(f"coco-{name}", "coco", coco(layout, "polygon", int, "", "utf8"), noted=noted(layout))
    for choice in product(["polygon", "rle", "counts"], [int, str], ["", "images/"], ENCODINGS):
        name = "-".join(getattr(one, "__name__", str(one)) for one in choice)
        yield Variant(f"coco-{name}", "coco", coco(Layout(), *choice))


# Supervisely ------------------------------------------------------------------------------------------------------


def supervisely_object(kind: str, c: int, box: Box) -> dict[str, Any]:
    top, bottom, left, right = box
    if kind == "polygon":
        corners = [[left, top], [right - 1, top], [right - 1, bottom - 1], [left, bottom - 1]]
        return {"classTitle": CLASSES[c], "geometryType": "polygon", "points": {"exterior": corners, "interior": []}}
    file = io.BytesIO()
    Image.new(kind, (right - left, bottom - top), 255 if kind == "L" else 1).save(file, "PNG")
    data = base64.b64encode(zlib.compress(file.getvalue())).decode()
    bitmap = {"data": data, "origin": [left, top]}
    return {"classTitle": CLASSES[c], "geometryType": "bitmap", "bitmap": bitmap}


def supervisely(layout: Layout, kind: str, encoding: str) -> Callable[[Path], dict]:
    def write(root: Path) -> dict[str, Any]:
        layout.write_images(root, "{lot}/img")
        meta = {"classes": [{"title": title} for title in CLASSES.values()]}
        (root / "meta.json").write_bytes(ENCODINGS[encoding](json.dumps(meta)))
        for stem, shapes in SHAPES.items():
            lot, name = stem.split("/")
            (root / lot / "ann").mkdir(exist_ok=True)
            objects = [supervisely_object(kind, c, box) for c, box in shapes]
            content = {"size": {"height": HEIGHT, "width": WIDTH}, "objects": objects}
            path = root / lot / "ann" / SPELLINGS[layout.spell](f"{name}{layout.suffix}.json")
            path.write_bytes(ENCODINGS[encoding](json.dumps(content)))
        layout.finish(root, "lot2")
        return {}

    return write


def supervisely_variants() -> Iterator[Variant]:
    for name, layout in layouts(["same", "upper", "nfd"]):
        yield Variant(f"supervisely-{name}", "supervisely", supervisely(layout, "1", "utf8"), noted=noted(layout))
    for kind, encoding in product(["1", "L", "polygon"], ENCODINGS):
        yield Variant(f"supervisely-{kind}-{encoding}", "supervisely", supervisely(Layout(), kind, encoding))


# Masks ------------------------------------------------------------------------------------------------------------


def masks(
    layout: Layout, kind: str, savers: list[tuple[str, Callable[[np.ndarray], Image.Image]]], suffix: str, clean: str
) -> Callable[[Path], dict]:
    """Masks saved by ``savers`` in turns."""

    def write(root: Path) -> dict[str, Any]:
        layout.write_images(root, "images/{lot}")
        for n, stem in enumerate(SHAPES):
            mask = truth(stem, 1)[0] if kind == "binary" else index_of(stem)
            if clean == "absent" and not mask.any():
                continue
            ending, save = savers[n % len(savers)]
            path = root / "masks" / SPELLINGS[layout.spell](f"{stem}{suffix}{ending}")
            path.parent.mkdir(parents=True, exist_ok=True)
            options = {".jpg": {"quality": 95}, ".webp": {"lossless": True}}.get(ending, {})
            save(mask).save(path, **options)
        layout.finish(root, "images/lot2")
        layout.finish(root, "masks/lot2")
        values: dict[str, Any] = {"mask_kind": kind, "mask_suffix": suffix}
        values |= {"missing_mask": "clean"} if clean == "absent" else {}
        values |= {"classes": {1: "dent"}} if kind == "binary" else {}
        return values | ({"colours": COLOURS} if kind == "colour" else {})

    return write


def mask_variants() -> Iterator[Variant]:
    kinds = {"index": INDEX_MASKS, "colour": COLOUR_MASKS, "binary": BINARY_MASKS}
    for kind, savers in kinds.items():
        n_classes = 1 if kind == "binary" else 2
        for name, suffix, clean in product(savers, ["", "_mask"], ["empty", "absent"]):
            write = masks(Layout(), kind, [savers[name]], suffix, clean)
            yield Variant(f"{kind}-{name}{suffix}-{clean}", "mask_folder", write, n_classes)
        for name, layout in layouts(["same", "title", "nfd"]):
            write = masks(layout, kind, [next(iter(savers.values()))], "", "empty")
            yield Variant(f"{kind}-{name}", "mask_folder", write, n_classes, noted(layout))
    mixed = [BINARY_MASKS["one"], BINARY_MASKS["white"], BINARY_MASKS["jpeg"]]
    yield Variant("binary-mixed", "mask_folder", masks(Layout(), "binary", mixed, "", "empty"), 1)


VARIANTS = [
    *severstal_variants(),
    *yolo_variants(),
    *coco_variants(),
    *supervisely_variants(),
    *mask_variants(),
]

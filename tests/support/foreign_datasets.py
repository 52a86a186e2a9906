"""Datasets in foreign formats, written without the readers' help, and what tests ask of them."""

import base64
import io
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_tools
from small_datasets import HEIGHT, WIDTH, drawn, write_image, write_severstal

from defectbench.config.dataset import DatasetSettings
from defectbench.config.ingest import CocoFiles, SuperviselyProject, YoloFolder
from defectbench.data.readers import READERS
from defectbench.data.readers.base import BadLabels

CLASSES = {1: "dent", 2: "stain"}
SQUARE = ((2, 3), (8, 3), (8, 9), (2, 9))  # x, y; 49 pixels with the outline
RING = [2, 2, 8, 2, 8, 8, 2, 8]  # 36 pixels: corners lie between pixels
COLOURS = {"stain": [0, 128, 255], "dent": [220, 20, 60]}


def shape(seed: int = 0) -> np.ndarray:
    """A mask of blobs with holes and thin parts, (HEIGHT, WIDTH) uint8."""
    noise = np.random.default_rng(seed).normal(size=(HEIGHT, WIDTH)).astype(np.float32)
    return (cv2.GaussianBlur(noise, (0, 0), 1.2) > 0.1).astype(np.uint8)


def rectangle(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def read_masks(dataset: DatasetSettings, image_id: str) -> np.ndarray:
    labels = READERS[dataset.format](dataset)
    assert labels.problems == []
    masks = drawn(labels, image_id)
    assert masks.dtype == np.uint8
    assert masks.max(initial=0) <= 1
    return masks


def refusals(dataset: DatasetSettings, image_id: str) -> list[tuple[str, int | None, str]]:
    """What is wrong with an image: (file, row, problem)."""
    with pytest.raises(BadLabels) as error:
        drawn(READERS[dataset.format](dataset), image_id)
    assert {problem.sample for problem in error.value.problems} <= {image_id}
    return [problem[1:4] for problem in error.value.problems]


def told(dataset: DatasetSettings) -> set[tuple[str, str]]:
    """Problems seen without a look into the images: (sample, problem)."""
    return {(problem.sample, problem.problem) for problem in READERS[dataset.format](dataset).problems}


def write_old_severstal(root: Path, rows: list[str]):
    dataset = write_severstal(root, [])
    (root / "train.csv").write_text("\n".join(["ImageId_ClassId,EncodedPixels", *rows]) + "\n")
    return dataset


def colour_mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    mask[2:5, 3:9] = COLOURS["dent"]
    mask[10:, 20:] = COLOURS["stain"]
    return mask


def bitmap(mask: np.ndarray, title: str = "dent", x: int = 0, y: int = 0) -> dict:
    """An object as Supervisely writes it: a 1-bit palette PNG with transparency."""
    image = Image.fromarray(mask.astype(np.uint8)).convert("P")
    image.putdata(mask.ravel().tolist())
    image.putpalette([0, 0, 0, 255, 255, 255])
    file = io.BytesIO()
    image.save(file, format="PNG", transparency=0, bits=1)
    data = base64.b64encode(zlib.compress(file.getvalue())).decode()
    return {"classTitle": title, "geometryType": "bitmap", "bitmap": {"data": data, "origin": [x, y]}}


def polygon(exterior: list, *interior: list, title: str = "dent") -> dict:
    points = {"exterior": exterior, "interior": list(interior)}
    return {"classTitle": title, "geometryType": "polygon", "bitmap": None, "points": points}


def write_supervisely(root: Path, objects: dict[str, list], **changes: object) -> SuperviselyProject:
    """Write an image and an annotation file for each key, 'folder/name.png'; '' is the flat layout."""
    meta = {"classes": [{"title": title, "shape": "any", "color": "#FF0000"} for title in ("stain", "dent", "other")]}
    root.mkdir(exist_ok=True)
    (root / "meta.json").write_text(json.dumps(meta))
    for key, content in objects.items():
        folder = root / Path(key).parent
        write_image(folder / "img" / Path(key).name)
        (folder / "ann").mkdir(exist_ok=True)
        annotation = {"description": "", "size": {"height": HEIGHT, "width": WIDTH}, "objects": content} | changes
        (folder / "ann" / f"{Path(key).name}.json").write_text(json.dumps(annotation))
    return SuperviselyProject(name="parts", format="supervisely", root=root, classes=CLASSES)


def write_yolo(root: Path, labels: dict[str, str | None], names: str = "{0: dent, 1: stain}", **more) -> YoloFolder:
    """Write an image for each path and, where given, its label file."""
    for image, text in labels.items():
        write_image(root / image)
        path = (root / image.replace("images", "labels")).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text)
    (root / "data.yaml").write_text(f"train: images\nnc: 2\nnames: {names}\n")
    values = {"name": "parts", "format": "yolo", "root": root, "classes": {0: "dent", 1: "stain"}}
    return YoloFolder(**values | more)


def line(value: int, *points: tuple[float, float]) -> str:
    return " ".join([str(value), *(f"{x / WIDTH} {y / HEIGHT}" for x, y in points)]) + "\n"


def compressed(mask: np.ndarray) -> dict:
    code = coco_tools.encode(np.asfortranarray(mask))
    return {"size": code["size"], "counts": code["counts"].decode()}


def uncompressed(mask: np.ndarray) -> dict:
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
    return {"size": list(mask.shape), "counts": np.diff([0, *changes, flat.size]).tolist()}


def annotation(number: int, segmentation: object, image: object = 0, category: object = 7, **more: object) -> dict:
    return {"id": number, "image_id": image, "category_id": category, "segmentation": segmentation} | more


def write_coco(root: Path, annotations: Sequence[dict] = (), n_images: int = 2, **changes: object) -> CocoFiles:
    for index in range(n_images):
        write_image(root / "images" / f"{index}.png")
    images = [{"id": n, "file_name": f"{n}.png", "height": HEIGHT, "width": WIDTH} for n in range(n_images)]
    categories = [{"id": 3, "name": "stain"}, {"id": 7, "name": "dent"}, {"id": 9, "name": "other"}]
    content = {"info": {}, "images": images, "annotations": list(annotations), "categories": categories} | changes
    (root / "annotations.json").write_text(json.dumps(content))
    return CocoFiles(name="parts", format="coco", root=root, classes=CLASSES)

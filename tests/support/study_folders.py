"""Folders of data for `make study`, and what the studies that it writes say."""

import json
import zlib
from pathlib import Path

import cv2
import numpy as np
import study
import yaml
from foreign_datasets import annotation, line, write_yolo
from jsonschema import Draft202012Validator
from small_datasets import HEIGHT, WIDTH, write_image
from tiny_study import ROOT

from defectbench.config.study import load_study
from defectbench.data.ingest import ingest

N_IMAGES = 20
N_CLEAN = 4
SQUARE = ((2, 3), (12, 3), (12, 13), (2, 13))


def mask(number: int, value: int = 1, dtype: type = np.uint8) -> np.ndarray:
    """A rectangle of ``value`` that differs for each number; the last N_CLEAN are empty."""
    drawn = np.zeros((HEIGHT, WIDTH), dtype)
    if number < N_IMAGES - N_CLEAN:
        drawn[2 : 8 + number // 2, 3 : 10 + number] = value
    return drawn


def write_mask_folder(root: Path, images: str = "images", masks: str = "masks", suffix: str = "", values=(1,)) -> Path:
    """Images and index masks whose values take turns."""
    for number in range(N_IMAGES):
        write_image(root / images / f"{number:02}.png", seed=number)
        (root / masks).mkdir(parents=True, exist_ok=True)
        value = values[number % len(values)]
        cv2.imwrite(str(root / masks / f"{number:02}{suffix}.png"), mask(number, value))
    return root


def write_coco_file(path: Path, numbers: range, first: int = 0) -> None:
    """A COCO file of the images ``numbers``, a square in each that is not clean."""
    images = [{"id": n, "file_name": f"{n:02}.png", "height": HEIGHT, "width": WIDTH} for n in numbers]
    shape = [[number for point in SQUARE for number in point]]
    annotations = [annotation(n, shape, image=n) for n in numbers if n < N_IMAGES - N_CLEAN]
    categories = [{"id": 3, "name": "unused"}, {"id": 7, "name": "dent"}]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def make_study(data: Path, *options: str) -> dict:
    """The study that is written for the folder, checked as Snakemake and an editor would."""
    study.main(["--data", str(data), "--name", "mine", *options])
    config = yaml.safe_load(Path("config/mine.yaml").read_text(encoding="utf-8"))
    load_study(config)
    schema = json.loads((ROOT / "config" / "schema.json").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(config)) == []
    return config


def counts(config: dict) -> tuple[int, dict[str, int]]:
    """Images, and for each class those that show it, as ingest reads the study."""
    dataset = load_study(config).dataset
    manifest, problems, _ = ingest(dataset, Path("problems.csv"))
    assert problems == []
    of_class = np.stack(manifest.frame["area"].map(np.array).to_list()) > 0
    return len(manifest.frame), dict(zip(manifest.class_names, of_class.sum(axis=0).tolist(), strict=True))


def doubts() -> str:
    """The doubts in the file, as one line of text."""
    lines = Path("config/mine.yaml").read_text(encoding="utf-8").splitlines()
    return " ".join(line.strip().removeprefix("# ") for line in lines if line.startswith("  #"))


def write_yolo_set(root: Path, place: str = "images", n: int = N_IMAGES, **more: object) -> Path:
    labels = {f"{place}/{number:02}.png": line(1, *SQUARE) if number < n - N_CLEAN else "" for number in range(n)}
    write_yolo(root, labels, **more)
    for image in labels:
        write_image(root / image, seed=zlib.crc32(image.encode()))
    return root

"""Tables, YAML and folders that would take all memory, or hours, to read; and what is no file at all."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from bombs import bomb, dataset
from bombs_of_images import all_colours, png, voc
from bombs_of_labels import coco_of
from foreign_datasets import SQUARE, line, shape, write_yolo
from PIL import Image
from small_datasets import HEIGHT, WIDTH, write_masks, write_severstal

# Text -----------------------------------------------------------------------------------------------------------------


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
    (root / "train.csv").write_text("a," * 200_000)
    return settings


@bomb("read_dataset", "1 images")
def table_of_empty_rows(root: Path) -> Any:
    return write_severstal(root, ["0.png,1,1 5", "\n" * 10_000_000], n_images=1)


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
    (root / "split.csv").write_text(f"image,split\n{'x' * 15_000_000},train\n")
    return coco_of(root, [])


# What is no file ------------------------------------------------------------------------------------------------------


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
    (root / "data/data.yaml").write_text(f"names: [dent]\ntrain: {root}/list.txt\n")
    return root / "data"


# A study of a folder --------------------------------------------------------------------------------------------------


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

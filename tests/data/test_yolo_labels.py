"""Labels and images as ultralytics reads them: nothing of the masks is lost on the way."""

import cv2
import numpy as np
import pandas as pd
import pytest
import yolo_labels as script
from tiny_packs import call
from yolo_data import CLASSES, picture, shapes, write_files

from defectbench.config.families.yolo import YoloSettings
from defectbench.data.packing import ImagePack
from defectbench.data.yolo_labels import write_dataset
from defectbench.families.yolo import ultralytics_training as yolo

SIZE = (64, 96)


@pytest.fixture(scope="module")
def truth():
    """Masks of four images: parts and a hole, cracks one pixel wide, one of them broken, nothing, all of one class."""
    cracks = np.zeros((2, *SIZE), np.uint8)
    cv2.line(cracks[0], (5, 5), (60, 50), 1)
    cracks[0, 10:40, 80] = 1
    cracks[1, 55, 10:30] = cracks[1, 55, 40:70] = 1
    full = np.zeros((2, *SIZE), np.uint8)
    full[1] = 1
    return {"a.png": shapes(*SIZE), "b.png": cracks, "c.png": np.zeros((2, *SIZE), np.uint8), "d.png": full}


@pytest.fixture(scope="module")
def root(truth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    write_files(folder, truth, dict.fromkeys(truth, "train"))
    return folder


@pytest.mark.parametrize(
    ("kind", "objects"),
    [("polygons", [2, 4, 0, 1]), ("polygons_merged", [2, 4, 0, 1]), ("boxes", [2, 4, 0, 1])],
)
def test_the_script_writes_a_row_per_image_and_keeps_backgrounds(root, tmp_path, capsys, kind, objects):
    call(script, manifest=root / "manifest.parquet", kind=kind, out=tmp_path / "labels.parquet")
    table = pd.read_parquet(tmp_path / "labels.parquet")
    assert table["image_id"].tolist() == ["a.png", "b.png", "c.png", "d.png"]
    assert table["objects"].tolist() == objects
    assert table["label"][2] == ""
    assert "1 backgrounds" in capsys.readouterr().out
    if kind.startswith("polygons"):
        assert (table["iou"] == 1).all()


def dataset(root, tmp_path, settings, ids):
    """The training set of ultralytics' trainer with our changes, as the training reads it."""
    labels = pd.read_parquet(root / f"{settings.labels}.parquet").set_index("image_id")["label"]
    classes = ("merged",) if settings.task == "merged" else CLASSES
    images = ImagePack(root / "packed")
    data = write_dataset(tmp_path / "data", images, labels, {"train": ids, "val": ids}, classes)
    options = yolo.ultralytics_options(settings, 8) | {"overlap_mask": False, "batch": 1, "fliplr": 0.0, "degrees": 0.0}
    trainer = yolo._Segmentation(
        overrides=options
        | {"model": "yolov8-seg.yaml", "data": str(data), "project": str(tmp_path), "device": "cpu", "plots": False}
    )
    trainer.model = yolo.build_network(settings, classes)
    return trainer.build_dataset(trainer.data["train"], "train", 1)


@pytest.mark.parametrize("task", ["merged", "per_class"])
def test_all_parts_survive_in_ultralytics_training_set(root, tmp_path, truth, task):
    settings = YoloSettings(model="yolov8-seg", scale="p", img_size="96", task=task, augment="none", mask_ratio=1)
    ids = list(truth)
    found = dataset(root, tmp_path, settings, ids)
    assert len(found) == len(ids)
    for sample, image_id in zip((found[i] for i in range(len(ids))), ids, strict=True):
        drawn = np.zeros_like(truth[image_id])
        for mask, index in zip(sample["masks"].numpy(), sample["cls"].ravel().int().tolist(), strict=False):
            drawn[index] |= mask
        expected = truth[image_id]
        if task == "merged":
            expected = np.stack([expected.max(axis=0), np.zeros(SIZE, np.uint8)])
        np.testing.assert_array_equal(drawn, expected)


def test_pixels_are_the_packs(root, tmp_path, truth):
    found = dataset(root, tmp_path, YoloSettings(model="yolov8-seg", img_size="96", augment="none"), list(truth))
    for index, masks in enumerate(truth.values()):
        image = found[index]["img"].numpy()
        np.testing.assert_array_equal(image, np.repeat(picture(masks, index)[None], 3, axis=0))


def test_colours_are_not_swapped(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (8, 9, 3), dtype=np.uint8)
    write_dataset(tmp_path / "data", {"a": image}, {"a": ""}, {"train": ["a"]}, ["merged"])
    stored = cv2.imread(str(tmp_path / "data" / "images" / "train" / "000000.png"), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(stored, image)

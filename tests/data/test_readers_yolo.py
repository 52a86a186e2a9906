"""YOLO labels: what is read, and what is refused."""

import contextlib
import io

import cv2
import numpy as np
import pytest
from foreign_datasets import CLASSES, SQUARE, line, read_masks, rectangle, refusals, told, write_yolo
from pycocotools.coco import COCO

from defectbench.config.ingest import YoloFolder
from defectbench.data.ingest import ingest
from defectbench.data.readers import READERS
from defectbench.data.readers.base import LabelFileError
from defectbench.data.writers import export_labels


@pytest.mark.parametrize("names", ["{0: dent, 1: stain}", "[dent, stain]", "{'0': dent, '1': stain, '2': other}"])
def test_yolo_polygons(tmp_path, names):
    thin = line(1, (20, 1), (20, 9), (20, 1))
    dataset = write_yolo(tmp_path, {"images/a.png": line(0, *SQUARE) + "\n" + thin, "images/b.png": None}, names)
    np.testing.assert_array_equal(read_masks(dataset, "a.png"), [rectangle(3, 10, 2, 9), rectangle(1, 10, 20, 21)])
    assert not read_masks(dataset, "b.png").any()
    assert dataset.missing() == []
    assert [path.name for path in dataset.label_files()] == ["data.yaml", "a.txt"]


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/train/a.png", "labels/train/a.txt"),
        ("train/images/a.png", "train/labels/a.txt"),
        ("images/images/a.png", "images/labels/a.txt"),
        ("flat/a.png", "flat/a.txt"),
    ],
)
def test_yolo_layouts(tmp_path, image, label):
    dataset = write_yolo(tmp_path / "images", {image: None}, images_dir=".")
    path = dataset.root / label
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line(0, *SQUARE))
    (path.parent / "classes.txt").write_text("dent\nstain\n")
    assert read_masks(dataset, image).sum() == 49


def test_yolo_boxes_are_refused_or_filled(tmp_path):
    text = "0 0.25 0.5 0.1 0.25\n1 0.5 0.5 0.001 0.001\n"
    dataset = write_yolo(tmp_path, {"images/a.png": text})
    assert [problem[:2] for problem in refusals(dataset, "a.png")] == [("labels/a.txt", 1), ("labels/a.txt", 2)]
    assert "boxes: fill" in refusals(dataset, "a.png")[0][2]
    masks = read_masks(dataset.model_copy(update={"boxes": "fill"}), "a.png")
    np.testing.assert_array_equal(masks, [rectangle(9, 15, 8, 12), rectangle(12, 13, 20, 21)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2 0 0 1 0 1 1", "class '2' is not in classes: 0, 1"),
        ("0", "0 coordinates"),
        ("0 0 0 1 0 1", "5 coordinates"),
        ("0 0 0 1 0 1 1 1", "7 coordinates"),
        ("0 0 0 1 x 1 1", "'x' is not a number"),
        ("0.5 0 0 1 0 1 1", "class '0.5' is not in classes: 0, 1"),
        ("0 0 0 1 nan 1 1", "'nan' is not a number"),
        ("0 0 0 1 0,5 1 1", "'0,5' is not a number; write a point, not a comma"),
        ("0 0 0 1.1 0 1 1", "polygon leaves the image: x = 44, y = 0 pixels"),
        ("0 0.9 0.5 0.4 0.2", "box is empty or leaves the image"),
        ("0 0.5 0.5 0 0.2", "box is empty or leaves the image"),
        ("0 inf 0 0 1", "'inf' is not a number"),
    ],
)
def test_yolo_bad_lines(tmp_path, text, message):
    dataset = write_yolo(tmp_path, {"images/a.png": line(0, *SQUARE) + text}, boxes="fill")
    ((file, row, problem),) = refusals(dataset, "a.png")
    assert (file, row) == ("labels/a.txt", 2)
    assert message in problem


def test_yolo_unreadable_label_file(tmp_path):
    dataset = write_yolo(tmp_path, {"images/a.png": ""})
    (tmp_path / "labels" / "a.txt").write_bytes(b"0 \xff")
    assert refusals(dataset, "a.png") == [
        ("labels/a.txt", None, "label file cannot be read: not UTF-8 text (line 1); save it as UTF-8")
    ]


def test_yolo_label_file_without_image(tmp_path):
    dataset = write_yolo(tmp_path, {"images/a.png": "", "images/b.png": ""})
    (tmp_path / "images" / "b.png").unlink()
    assert told(dataset) == {("labels/b.txt", "label file has no image")}


def test_yolo_without_any_label_file(tmp_path):
    (problem,) = write_yolo(tmp_path, {"images/a.png": None}).missing()
    assert problem.endswith(f"the first is expected at {tmp_path / 'labels' / 'a.txt'}")


def test_yolo_class_names_must_agree(tmp_path):
    with pytest.raises(LabelFileError, match=r"data.yaml: the classes are .*'dent'.*, but dataset.classes says"):
        READERS["yolo"](write_yolo(tmp_path, {"images/a.png": ""}, "[stain, dent]"))
    for names in ("3", "{", "{a: dent}", "[[dent], [stain]]"):
        with pytest.raises(LabelFileError, match=r"data.yaml: "):
            READERS["yolo"](write_yolo(tmp_path, {"images/a.png": ""}, names))
    (tmp_path / "data.yaml").unlink()
    dataset = YoloFolder(name="parts", format="yolo", root=tmp_path, classes=CLASSES)
    assert dataset.missing() == [f"dataset.data_yaml: no such file: {tmp_path / 'data.yaml'}"]


def test_yolo_polygons_are_read_drawn_and_exported(real_data, tmp_path):
    root = real_data / "kolektorsdd_yolo"
    dataset = YoloFolder(name="kolektorsdd", format="yolo", root=root, classes={0: "defect"})
    manifest, problems, _ = ingest(dataset, tmp_path / "found.csv")
    areas = manifest.frame["area"].str[0]
    assert problems == []
    assert ((areas > 0).sum(), (areas == 0).sum()) == (52, 60)
    # The files hold every pixel of the outlines as traced: traced again, they are found again.
    for row in manifest.frame[areas > 0].itertuples():
        text = (root / "labels" / row.image_id).with_suffix(".txt").read_text()
        points = [np.array(words.split()[1:], float).reshape(-1, 2) for words in text.splitlines()]
        wanted = {tuple(point) for ring in points for point in np.rint(ring * [row.width, row.height]).astype(int)}
        contours, _ = cv2.findContours(manifest.masks(row)[0], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        assert wanted <= {tuple(point) for contour in contours for point in contour[:, 0]}, row.image_id
    assert (export_labels(manifest, "yolo_polygons", tmp_path / "yolo")["iou"] == 1).all()
    export_labels(manifest, "coco", tmp_path / "coco")
    with contextlib.redirect_stdout(io.StringIO()):
        tools = COCO(tmp_path / "coco" / "annotations.json")
    drawn = {tools.imgs[ann["image_id"]]["file_name"]: tools.annToMask(ann) for ann in tools.anns.values()}
    for row in manifest.frame[areas > 0].itertuples():
        np.testing.assert_array_equal(drawn[row.image_id], manifest.masks(row)[0])

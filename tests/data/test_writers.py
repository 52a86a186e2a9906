"""Exported labels, read by decoders that share no code with the writers."""

import base64
import importlib
import io
import json
import re
import zlib

import cv2
import export_labels as script
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO
from random_masks import blobs
from scipy import ndimage
from tiny_study import ROOT

from defectbench.data.manifest import Manifest, write_manifest
from defectbench.data.rle import decode_severstal, encode_coco
from defectbench.data.writers import WRITERS, export_labels
from defectbench.data.writers.base import ExportError

NAMES, VALUES = ("dent", "Kratzer, groß"), (3, 7)
STEMS = ("a", "b.x", "c", "d/e")  # of the images of ``truth``


def manifest_of(masks: dict[str, np.ndarray], names=NAMES, values=VALUES) -> Manifest:
    """A manifest of ``masks``, (C, H, W) by image id."""
    frame = pd.DataFrame({"image_id": list(masks)})
    frame[["height", "width"]] = [of_image.shape[1:] for of_image in masks.values()]
    frame["rle"] = [[encode_coco(mask) for mask in of_image] for of_image in masks.values()]
    frame["area"] = [[int(mask.sum()) for mask in of_image] for of_image in masks.values()]
    rest = {
        "path": frame["image_id"],
        "channels": 1,
        "stored_as": "grey 8-bit",
        "sha256": "0",
        "phash": None,
        "group": frame["image_id"],
    }
    return Manifest(frame.assign(**rest), "parts", tuple(names), tuple(values), 0)


@pytest.fixture
def truth():
    """Two classes that overlap, a clean image, and one in a folder with another size."""
    wide = np.zeros((2, 9, 30), np.uint8)
    wide[1, :, 29] = wide[1, 4, 4] = 1
    return {"a.jpg": blobs(0), "b.x.png": np.zeros((2, 20, 30), np.uint8), "c.jpg": blobs(1), "d/e.jpg": wide}


def disjoint(truth):
    """The second class without what the first holds too."""
    return {image_id: np.stack([first, second & (1 - first)]) for image_id, (first, second) in truth.items()}


def draw(rows: list[str], n_classes: int, height: int, width: int) -> np.ndarray:
    """Polygon rows as ultralytics reads and draws them: float32 shares, cut to whole pixels, filled with the edge."""
    masks = np.zeros((n_classes, height, width), np.uint8)
    for row in rows:
        index, *shares = row.split()
        points = np.array(shares, np.float32).reshape(-1, 2) * np.array([width, height], np.float32)
        cv2.fillPoly(masks[int(index)], [points.astype(np.int32)], 1)
    return masks


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / max((one | other).sum(), 1)


def test_severstal(tmp_path, truth):
    report = export_labels(manifest_of(truth), "severstal_csv", tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "train.csv")
    assert list(table.columns) == ["ImageId", "ClassId", "EncodedPixels"]
    read = {image_id: np.zeros_like(masks) for image_id, masks in truth.items()}
    for image_id, value, text in table.itertuples(index=False):
        mask, numbers = read[image_id][VALUES.index(value)], list(map(int, text.split()))
        for start, length in zip(numbers[::2], numbers[1::2], strict=True):
            for pixel in range(start - 1, start - 1 + length):
                mask[pixel % mask.shape[0], pixel // mask.shape[0]] += 1
    for image_id, masks in truth.items():
        np.testing.assert_array_equal(read[image_id], masks)
    assert report["objects"].tolist() == [2, 0, 2, 1] == [sum(table["ImageId"] == image_id) for image_id in truth]


def test_supervisely(tmp_path, truth):
    export_labels(manifest_of(truth), "supervisely", tmp_path / "out")
    meta = json.loads((tmp_path / "out" / "meta.json").read_text())
    assert [(entry["title"], entry["id"], entry["shape"]) for entry in meta["classes"]] == [
        (name, value, "bitmap") for name, value in zip(NAMES, VALUES, strict=True)
    ]
    assert [entry["color"] for entry in meta["classes"]] == ["#FF0000", "#00FFFF"]
    for name, masks in zip(("ann/a.jpg", "ann/b.x.png", "ann/c.jpg", "d/ann/e.jpg"), truth.values(), strict=True):
        annotation = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert annotation["size"] == {"height": masks.shape[1], "width": masks.shape[2]}
        read = np.zeros_like(masks)
        for entry in annotation["objects"]:
            png = zlib.decompress(base64.b64decode(entry["bitmap"]["data"]))
            part = np.asarray(Image.open(io.BytesIO(png)))
            x, y = entry["bitmap"]["origin"]
            read[NAMES.index(entry["classTitle"]), y : y + part.shape[0], x : x + part.shape[1]] = part
            # Supervisely's own decoder looks at the transparency alone.
            alpha = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)[:, :, 3]
            np.testing.assert_array_equal(alpha > 0, part > 0)
        np.testing.assert_array_equal(read, masks)


def test_coco(tmp_path, truth):
    export_labels(manifest_of(truth), "coco", tmp_path / "out")
    api = COCO(tmp_path / "out" / "annotations.json")
    assert {number: category["name"] for number, category in api.cats.items()} == dict(zip(VALUES, NAMES, strict=True))
    assert [image["file_name"] for image in api.imgs.values()] == list(truth)
    for number, image in api.imgs.items():
        masks = truth[image["file_name"]]
        assert (image["height"], image["width"]) == masks.shape[1:]
        read = np.zeros_like(masks)
        for entry in api.loadAnns(api.getAnnIds(imgIds=number)):
            mask = read[VALUES.index(entry["category_id"])] = api.annToMask(entry)
            ys, xs = np.nonzero(mask)
            assert entry["bbox"] == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
            assert entry["area"] == mask.sum()
        np.testing.assert_array_equal(read, masks)


def test_index_masks(tmp_path, truth):
    truth = disjoint(truth)
    export_labels(manifest_of(truth), "masks", tmp_path / "out")
    assert yaml.safe_load((tmp_path / "out" / "classes.yaml").read_text()) == dict(zip(VALUES, NAMES, strict=True))
    for stem, masks in zip(STEMS, truth.values(), strict=True):
        index = np.asarray(Image.open(tmp_path / "out" / "masks" / f"{stem}.png"))
        assert set(np.unique(index)) <= {0, *VALUES}
        np.testing.assert_array_equal(np.stack([index == value for value in VALUES]), masks)


def test_index_masks_cannot_overlap_or_hold_large_values(tmp_path, truth):
    with pytest.raises(ExportError, match=r"overlap in 2 image\(s\).*: a\.jpg, c\.jpg; use masks_per_class"):
        export_labels(manifest_of(truth), "masks", tmp_path / "out")
    with pytest.raises(ExportError, match=r"from 1 to 255, not \[0, 300\]; use masks_per_class"):
        export_labels(manifest_of(truth, values=(0, 300)), "masks", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_masks_per_class(tmp_path, truth):
    export_labels(manifest_of(truth), "masks_per_class", tmp_path / "out")
    for stem, masks in zip(STEMS, truth.values(), strict=True):
        for value, mask in zip(VALUES, masks, strict=True):
            np.testing.assert_array_equal(
                Image.open(tmp_path / "out" / "masks" / str(value) / f"{stem}.png"), mask * 255
            )


@pytest.mark.parametrize("format_name", ["yolo_boxes", "yolo_boxes_merged"])
def test_yolo_boxes(tmp_path, truth, format_name):
    merged = format_name.endswith("merged")
    export_labels(manifest_of(truth), format_name, tmp_path / "out")
    names = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())["names"]
    assert names == ({0: "merged"} if merged else dict(enumerate(NAMES)))
    for stem, masks in zip(STEMS, truth.values(), strict=True):
        expected = set()
        for index, mask in enumerate(masks.any(axis=0, keepdims=True) if merged else masks):
            for ys, xs in ndimage.find_objects(ndimage.label(mask, np.ones((3, 3)))[0]):
                expected.add((index, xs.start, ys.start, xs.stop, ys.stop))
        rows = [line.split() for line in (tmp_path / "out" / "labels" / f"{stem}.txt").read_text().splitlines()]
        height, width = masks.shape[1:]
        found = set()
        for row in rows:
            x, y, w, h = map(float, row[1:])
            corners = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
            found.add((int(row[0]), *(round(corner) for corner in corners)))
            np.testing.assert_allclose(corners, np.round(corners), atol=1e-3)
        assert len(rows) == len(found)
        assert found == expected


def test_yolo_polygons(tmp_path, truth):
    report = export_labels(manifest_of(truth), "yolo_polygons", tmp_path / "out")
    for stem, masks in zip(STEMS, truth.values(), strict=True):
        rows = (tmp_path / "out" / "labels" / f"{stem}.txt").read_text().splitlines()
        np.testing.assert_array_equal(draw(rows, *masks.shape), masks)
        assert len(rows) == sum(ndimage.label(mask, np.ones((3, 3)))[1] for mask in masks)
    assert report["iou"].tolist() == [1, 1, 1, 1]


def test_ultralytics_reads_the_polygons(tmp_path):
    importlib.import_module("defectbench.families.yolo.network")  # before ultralytics, which it keeps offline
    utils = pytest.importorskip("ultralytics.data.utils")
    resample = pytest.importorskip("ultralytics.utils.ops").resample_segments
    truth = {f"{seed}.png": blobs(seed) for seed in range(5)}
    export_labels(manifest_of(truth), "yolo_polygons", tmp_path / "out")
    for image_id, masks in truth.items():
        path = tmp_path / "out" / "images" / image_id
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.zeros(masks.shape[1:], np.uint8))
        label_path = utils.img2label_paths([str(path)])[0]
        found = utils.verify_image_label((str(path), label_path, "", False, len(NAMES), 0, 0, False))
        boxes, (height, width), segments = found[1:4]
        assert boxes[:, 3:].min() > 0
        assert found[-1] == ""  # no complaint
        read = np.zeros_like(masks)
        for box, segment in zip(boxes, resample(list(segments), n=1000), strict=True):
            points = (segment * np.float32([width, height])).reshape(1, -1)
            read[int(box[0])] |= utils.polygon2mask((height, width), points)
        # A point put halfway between two pixels that touch with their corners may be cut to one beside them.
        assert iou(read, masks) >= 0.995


def crack_masks(folder):
    for path in sorted((folder / "crack500_part" / "masks").iterdir())[::20]:
        yield (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 127)[None].astype(np.uint8)


def neu_masks(folder):
    for path in sorted((folder / "neu_seg" / "masks").iterdir())[::60]:
        yield (np.asarray(Image.open(path)) == [[[1]], [[2]], [[3]]]).astype(np.uint8)


def severstal_masks(folder):
    table = pd.read_csv(folder / "severstal_labels" / "train.csv")[::50]
    for _, rows in table.groupby("ImageId"):
        codes = dict(zip(rows["ClassId"], rows["EncodedPixels"], strict=True))
        yield np.stack([decode_severstal(codes.get(value, ""), 256, 1600) for value in (1, 2, 3, 4)])


@pytest.mark.parametrize("source", [crack_masks, neu_masks, severstal_masks])
def test_real_masks_survive_as_polygons(tmp_path, real_data, source):
    truth = {f"{index}.jpg": masks for index, masks in enumerate(source(real_data))}
    classes = range(1, len(truth["0.jpg"]) + 1)
    report = export_labels(manifest_of(truth, map(str, classes), classes), "yolo_polygons", tmp_path / "out")
    for (image_id, masks), reported in zip(truth.items(), report["iou"], strict=True):
        rows = (tmp_path / "out" / "labels" / image_id).with_suffix(".txt").read_text().splitlines()
        np.testing.assert_array_equal(draw(rows, *masks.shape), masks)
        assert reported == 1


def test_label_files_stand_where_the_images_folder_would_have_them(tmp_path):
    """Ids of datasets that were YOLO or Supervisely before have their image folders in them."""
    masks = np.ones((2, 3, 3), np.uint8)
    for format_name, image_id, expected in (
        ("yolo_boxes", "train/images/a.jpg", "train/labels/a.txt"),
        ("yolo_polygons", "images/images/a.jpg", "images/labels/a.txt"),
        ("supervisely", "lot 1/img/a.jpg", "lot 1/ann/a.jpg.json"),
    ):
        export_labels(manifest_of({image_id: masks}), format_name, tmp_path / format_name)
        assert (tmp_path / format_name / expected).is_file()


def test_images_that_would_share_a_file_are_named(tmp_path):
    masks = np.ones((2, 3, 3), np.uint8)
    manifest = manifest_of({"a.jpg": masks, "a.png": masks, "b.png": masks})
    for format_name in ("yolo_boxes", "yolo_polygons", "masks_per_class"):
        with pytest.raises(
            ExportError, match=r"images a\.jpg, a\.png would share the label file (labels/)?a\.(txt|png)"
        ):
            export_labels(manifest, format_name, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format_name", WRITERS)
def test_script(tmp_path, capsys, truth, format_name):
    write_manifest(tmp_path / "m.parquet", manifest_of(disjoint(truth)))
    arguments = {"manifest": "m.parquet", "out-dir": "out", "report": "report.csv"}
    command = ["--format", format_name]
    command += [text for key, name in arguments.items() for text in (f"--{key}", str(tmp_path / name))]
    script.main(command)
    report = pd.read_csv(tmp_path / "report.csv")
    assert list(report.columns) == ["image_id", "objects", "iou"]
    assert report["image_id"].tolist() == list(truth)
    said = capsys.readouterr().out
    assert said.startswith(f"parts: {report['objects'].sum()} objects in 4 images as {format_name}\n")
    assert ("lowest IoU of an image's polygons with its masks: 1.0000 (a.jpg)" in said) == ("polygons" in format_name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.parquet", "out", "report.csv"]
    with pytest.raises(SystemExit):
        script.main(command)
    assert "out is not empty; remove it, or name another folder" in capsys.readouterr().err


def test_the_rule_knows_all_formats():
    rule = (ROOT / "rules" / "export_labels.smk").read_text()
    assert re.search(r'format="(.*)"', rule)[1].split("|") == list(WRITERS)

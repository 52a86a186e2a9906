"""Labels exported for annotation tools, read by decoders that share no code with the writers."""

import base64
import io
import json
from itertools import cycle
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from random_masks import blobs
from test_writers import NAMES, STEMS, disjoint, manifest_of
from written_by_tools import brush_code

from defectbench.data.writers import export_labels
from defectbench.data.writers.base import ExportError


@pytest.fixture
def truth():
    """Two classes that overlap, a clean image, and one in a folder with another size."""
    wide = np.zeros((2, 9, 30), np.uint8)
    wide[1, :, 29] = wide[1, 4, 4] = 1
    return {"a.jpg": blobs(0), "b.x.png": np.zeros((2, 20, 30), np.uint8), "c.jpg": blobs(1), "d/e.jpg": wide}


def test_cvat_images(tmp_path, truth):
    export_labels(manifest_of(truth), "cvat_images", tmp_path / "out")
    root = ElementTree.parse(tmp_path / "out" / "annotations.xml").getroot()
    assert root.findtext("version") == "1.1"
    images = {image.get("name"): image for image in root.iter("image")}
    assert list(images) == list(truth)
    for image_id, masks in truth.items():
        image = images[image_id]
        assert (int(image.get("height")), int(image.get("width"))) == masks.shape[1:]
        read = np.zeros_like(masks)
        for element in image.iter("mask"):
            left, top, width, height = (int(element.get(key)) for key in ("left", "top", "width", "height"))
            flat = []
            for value, length in zip(cycle([0, 1]), element.get("rle").split(", "), strict=False):
                flat += [value] * int(length)
            part = np.array(flat, np.uint8).reshape(height, width)
            assert all(part[edge].any() for edge in (0, -1, (slice(None), 0), (slice(None), -1)))  # the box is tight
            read[NAMES.index(element.get("label")), top : top + height, left : left + width] = part
        np.testing.assert_array_equal(read, masks)


def test_labelme(tmp_path, truth):
    export_labels(manifest_of(truth), "labelme", tmp_path / "out")
    for stem, (image_id, masks) in zip(STEMS, truth.items(), strict=True):
        content = json.loads((tmp_path / "out" / f"{stem}.json").read_text())
        assert content["imagePath"] == image_id.split("/")[-1]
        assert (content["imageHeight"], content["imageWidth"]) == masks.shape[1:]
        read = np.zeros_like(masks)
        for shape in content["shapes"]:
            (left, top), (right, bottom) = shape["points"]
            part = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape["mask"]))))
            assert part.dtype == bool
            read[NAMES.index(shape["label"]), top : bottom + 1, left : right + 1] = part
        np.testing.assert_array_equal(read, masks)


def test_label_studio(tmp_path, truth):
    export_labels(manifest_of(truth), "label_studio", tmp_path / "out")
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert [task["data"]["image"] for task in tasks] == list(truth)
    for task, masks in zip(tasks, truth.values(), strict=True):
        (annotation,) = task["annotations"]
        found = {}
        for region in annotation["result"]:
            assert (region["original_height"], region["original_width"]) == masks.shape[1:]
            (name,) = region["value"]["brushlabels"]
            found[name] = region["value"]["rle"]
        expected = {
            name: brush_code(mask, literal=False) for name, mask in zip(NAMES, masks, strict=True) if mask.any()
        }
        assert found == expected
    view = ElementTree.parse(tmp_path / "out" / "label_config.xml").getroot()
    assert [label.get("value") for label in view.iter("Label")] == list(NAMES)
    assert {view.find("BrushLabels").get("toName")} == {view.find("Image").get("name")} == {"image"}


def test_cvat_masks(tmp_path, truth):
    with pytest.raises(ExportError, match=r"overlap in 2 image\(s\)"):
        export_labels(manifest_of(truth), "cvat_masks", tmp_path / "out")
    export_labels(manifest_of(disjoint(truth)), "cvat_masks", tmp_path / "out")
    lines = (tmp_path / "out" / "labelmap.txt").read_text().splitlines()
    assert lines == ["# label:color_rgb:parts:actions", "background:0,0,0::", "dent:128,0,0::", f"{NAMES[1]}:0,128,0::"]
    listed = (tmp_path / "out" / "ImageSets" / "Segmentation" / "default.txt").read_text().split()
    assert listed == list(STEMS)
    for stem, masks in zip(STEMS, disjoint(truth).values(), strict=True):
        image = Image.open(tmp_path / "out" / "SegmentationClass" / f"{stem}.png")
        assert image.mode == "P"
        rgb = np.asarray(image.convert("RGB"))
        for mask, colour in zip(masks, ([128, 0, 0], [0, 128, 0]), strict=True):
            np.testing.assert_array_equal((rgb == colour).all(axis=-1), mask)
        np.testing.assert_array_equal(rgb.any(axis=-1), masks.any(axis=0))


def test_semantic_masks(tmp_path, truth):
    export_labels(manifest_of(disjoint(truth)), "yolo_semantic", tmp_path / "out")
    for stem, masks in zip(STEMS, disjoint(truth).values(), strict=True):
        values = np.asarray(Image.open(tmp_path / "out" / "masks" / f"{stem}.png"))
        np.testing.assert_array_equal(values, masks[0] + 2 * masks[1])

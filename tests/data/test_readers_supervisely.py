"""Supervisely projects: what is read, and what is refused."""

import base64
import io
import zlib

import numpy as np
import pytest
from foreign_datasets import (
    bitmap,
    polygon,
    read_masks,
    rectangle,
    refusals,
    shape,
    told,
    write_supervisely,
)
from PIL import Image
from small_datasets import HEIGHT, WIDTH

from defectbench.data.readers import READERS
from defectbench.data.readers.base import LabelFileError


def test_supervisely_bitmaps_and_polygons(tmp_path):
    square = [[2, 2], [8, 2], [8, 8], [2, 8]]
    hole = [[4, 4], [6, 4], [6, 6], [4, 6]]
    objects = [bitmap(shape()[:9, :12], "stain", x=5, y=3), polygon(square, hole), bitmap(np.ones((1, 1)), x=39, y=23)]
    dataset = write_supervisely(tmp_path, {"lot1/a.png": objects, "lot2/a.png": [], "b.png": objects[:1]})
    stain = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    stain[3:12, 5:17] = shape()[:9, :12]
    dent = rectangle(2, 9, 2, 9) - rectangle(5, 6, 5, 6)
    dent[23, 39] = 1
    np.testing.assert_array_equal(read_masks(dataset, "lot1/img/a.png"), [dent, stain])
    assert not read_masks(dataset, "lot2/img/a.png").any()
    np.testing.assert_array_equal(read_masks(dataset, "img/b.png"), [0 * stain, stain])
    assert dataset.missing() == []
    assert [path.name for path in dataset.label_files()] == ["meta.json", "b.png.json", "a.png.json", "a.png.json"]


@pytest.mark.parametrize("mode", ["1", "L"])
def test_supervisely_bitmap_without_transparency(tmp_path, mode):
    file = io.BytesIO()
    Image.fromarray(shape() * 255).convert(mode).save(file, format="PNG")
    labelled = bitmap(shape())
    labelled["bitmap"]["data"] = base64.b64encode(zlib.compress(file.getvalue())).decode()
    np.testing.assert_array_equal(
        read_masks(write_supervisely(tmp_path, {"a.png": [labelled]}), "img/a.png")[0], shape()
    )


@pytest.mark.parametrize(
    ("labelled", "message"),
    [
        (bitmap(shape(), "other"), "objects.0: class 'other' is not in classes: dent, stain"),
        (bitmap(shape(), x=1), "objects.0: bitmap leaves the image: rows 0 to 23, columns 1 to 40, image 24 x 40"),
        (bitmap(shape(), y=-1), "objects.0: bitmap leaves the image"),
        (bitmap(shape()) | {"bitmap": {"data": "eJw=", "origin": [0, 0]}}, "objects.0: bitmap cannot be read"),
        (bitmap(shape()) | {"bitmap": {"data": "eJw=", "origin": [0.5, 0]}}, "objects.0.bitmap.origin.0: Input should"),
        (bitmap(shape()) | {"bitmap": None}, "objects.0: bitmap without its data"),
        (polygon([[0, 0], [4, 4], [50, 0]]), "objects.0: polygon leaves the image"),
        (polygon([]) | {"points": None}, "objects.0: polygon without its points"),
        (polygon([]) | {"geometryType": "line"}, "objects.0.geometryType: Input should be 'bitmap' or 'polygon'"),
        ({}, "objects.0.classTitle: Field required"),
    ],
)
def test_supervisely_bad_objects(tmp_path, labelled, message):
    dataset = write_supervisely(tmp_path, {"lot/a.png": [labelled]})
    ((file, row, problem),) = refusals(dataset, "lot/img/a.png")
    assert (file, row) == ("lot/ann/a.png.json", None)
    assert problem.startswith(message)


def test_supervisely_annotation_of_another_size(tmp_path):
    dataset = write_supervisely(tmp_path, {"a.png": []}, size={"height": HEIGHT, "width": 7})
    ((_, _, problem),) = refusals(dataset, "img/a.png")
    assert problem == f"annotation is for {HEIGHT} x 7 pixels, its image has {HEIGHT} x {WIDTH}"


def test_supervisely_files_without_partner(tmp_path):
    dataset = write_supervisely(tmp_path, {"a.png": [], "b.png": []})
    (tmp_path / "ann" / "a.png.json").unlink()
    (tmp_path / "img" / "b.png").unlink()
    assert told(dataset) == {
        ("img/a.png", "has no annotation file"),
        ("ann/b.png.json", "annotation file has no image"),
    }
    assert refusals(dataset, "img/a.png") == []


def test_supervisely_classes_must_be_in_meta(tmp_path):
    dataset = write_supervisely(tmp_path, {"a.png": []})
    with pytest.raises(LabelFileError, match=r"meta.json: .* dataset.classes has others: \['scratch'\]"):
        READERS["supervisely"](dataset.model_copy(update={"classes": {1: "dent", 2: "scratch"}}))
    (tmp_path / "meta.json").write_text("[]")
    with pytest.raises(LabelFileError, match=r"meta.json: "):
        READERS["supervisely"](dataset)
    (tmp_path / "meta.json").unlink()
    assert dataset.missing() == [f"dataset.root: no meta.json in {tmp_path}"]

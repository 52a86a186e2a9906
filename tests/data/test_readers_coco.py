"""COCO files: what is read, and what is refused."""

import contextlib
import io

import numpy as np
import pytest
from foreign_datasets import (
    CLASSES,
    RING,
    annotation,
    compressed,
    read_masks,
    rectangle,
    refusals,
    shape,
    told,
    uncompressed,
    write_coco,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_tools
from pycocotools.coco import COCO
from small_datasets import HEIGHT, WIDTH, drawn, write_image

from defectbench.config.ingest import CocoFiles
from defectbench.data.readers import READERS
from defectbench.data.readers.base import LabelFileError
from defectbench.data.readers.coco import compress_segmentation as read_segmentation


def test_coco_polygons_and_codes(tmp_path):
    annotations = [
        annotation(1, [RING, [20, 5, 30, 5, 30, 9]]),
        annotation(2, compressed(shape(1)), category=3, iscrowd=1),
        annotation(3, uncompressed(shape(2)), image=1),
        annotation(4, [[6, 6, 10, 6, 10, 10, 6, 10]], iscrowd=0),
    ]
    dataset = write_coco(tmp_path, annotations, n_images=3)
    dent, stain = read_masks(dataset, "0.png")
    np.testing.assert_array_equal(stain, shape(1))
    np.testing.assert_array_equal(dent[:12, :12], (rectangle(2, 8, 2, 8) | rectangle(6, 10, 6, 10))[:12, :12])
    assert dent[5, 24:30].all()
    np.testing.assert_array_equal(read_masks(dataset, "1.png"), [shape(2), 0 * shape(2)])
    assert not read_masks(dataset, "2.png").any()
    assert dataset.missing() == []


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 0.999))
@settings(max_examples=40)
def test_coco_codes_are_read_as_pycocotools_writes_them(seed, share):
    mask = (np.random.default_rng(seed).random((HEIGHT * 9, WIDTH)) < share).astype(np.uint8)
    for code in (compressed(mask), uncompressed(mask)):
        (rle,) = read_segmentation(code, *mask.shape)
        assert rle["counts"] == coco_tools.encode(np.asfortranarray(mask))["counts"]


@given(st.lists(st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT)), min_size=3, max_size=9))
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_coco_polygons_are_drawn_as_pycocotools_draws_them(tmp_path, points):
    polygon = [round(number, 2) for point in points for number in point]
    dataset = write_coco(tmp_path, [annotation(1, [RING, polygon])])
    with contextlib.redirect_stdout(io.StringIO()):
        tools = COCO(tmp_path / "annotations.json")
    expected = tools.annToMask({"image_id": 0, "segmentation": [RING]})
    expected |= tools.annToMask({"image_id": 0, "segmentation": [polygon]})
    found = read_masks(dataset, "0.png")[0]
    vanishes = not tools.annToMask({"image_id": 0, "segmentation": [polygon]}).any()
    assert vanishes or np.array_equal(found, expected)
    assert (found >= expected).all()


def test_a_coco_polygon_thinner_than_a_pixel_is_not_lost(tmp_path):
    dataset = write_coco(tmp_path, [annotation(1, [[5, 3.2, 30, 3.2, 30, 3.4, 5, 3.4]])])
    np.testing.assert_array_equal(read_masks(dataset, "0.png")[0], rectangle(3, 4, 5, 31))


def test_uncompressed_counts_with_empty_runs_give_the_one_code_of_their_mask():
    (rle,) = read_segmentation({"size": [2, 5], "counts": [0, 2, 0, 3, 1, 1, 3, 0, 0]}, 2, 5)
    flat = np.array([1, 1, 1, 1, 1, 0, 1, 0, 0, 0], np.uint8)
    assert rle["counts"] == coco_tools.encode(np.asfortranarray(flat.reshape(2, 5, order="F")))["counts"]


def test_roboflow_coco_files_lie_beside_their_images(tmp_path):
    for part in ("train", "valid"):
        write_coco(tmp_path / part, [annotation(0, [RING])], n_images=1)
        (tmp_path / part / "annotations.json").rename(tmp_path / part / "_annotations.coco.json")
        (tmp_path / part / "images" / "0.png").rename(tmp_path / part / "0.png")
    values = {"images_dir": ".", "annotations": "*/_annotations.coco.json"}
    dataset = CocoFiles(name="parts", format="coco", root=tmp_path, classes=CLASSES, **values)
    assert [read_masks(dataset, f"{part}/0.png").sum() for part in ("train", "valid")] == [36, 36]
    assert len(dataset.label_files()) == 2


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([], "has no segmentation; boxes alone are not read"),
        (None, "has no segmentation"),
        ([[1, 1, 2, 2, 3]], "polygon has 5 numbers"),
        ([RING, [1, 1, 50, 1, 1, 9]], "polygon leaves the image: x = 50, y = 1"),
        ([1, 2, 3], "segmentation is neither polygons nor RLE"),
        ("text", "segmentation is neither polygons nor RLE"),
        ({"size": [WIDTH, HEIGHT], "counts": [HEIGHT * WIDTH]}, "RLE is for 40 x 24 pixels, its image has 24 x 40"),
        ({"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH, 1]}, "RLE counts must not be negative and must add up"),
        ({"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH + 1, -1]}, "RLE counts must not be negative"),
        ({"size": [HEIGHT, WIDTH], "counts": []}, "RLE counts must not be negative and must add up"),
        ({"size": [HEIGHT, WIDTH], "counts": "0 1"}, "RLE counts cannot contain the character ' '"),
        ({"size": [HEIGHT, WIDTH], "counts": "1oo"}, "RLE counts are cut short"),
    ],
)
def test_coco_bad_segmentations(tmp_path, segmentation, message):
    dataset = write_coco(tmp_path, [annotation(5, [RING]), annotation(6, segmentation)])
    ((file, row, problem),) = refusals(dataset, "0.png")
    assert (file, row) == ("annotations.json", None)
    assert problem.startswith(f"annotation 6: {message}")
    assert not drawn(READERS["coco"](dataset), "1.png").any()


def test_coco_problems_of_ids_and_names(tmp_path):
    annotations = [
        annotation(1, [RING]),
        annotation(1, [RING], image=1),
        annotation(2, [RING], image=77),
        annotation(3, [RING], category=9),
        annotation(4, [RING], image=1, category=8),
    ]
    dataset = write_coco(tmp_path, annotations, n_images=2)
    write_image(tmp_path / "images" / "new.png")
    assert told(dataset) == {
        ("0.png", "annotation 1: this id is used more than once"),
        ("1.png", "annotation 1: this id is used more than once"),
        ("annotations.json, image 77", "annotation 2: the file has no image 77"),
        ("0.png", "annotation 3: category 9 'other' is not in classes: dent, stain"),
        ("1.png", "annotation 4: category 8 is not in categories"),
        ("new.png", "is not listed in annotations.json"),
    }


def test_coco_problems_of_images(tmp_path):
    size = {"height": HEIGHT, "width": WIDTH}
    entries = [
        {"id": 1, "file_name": "0.png"} | size,
        {"id": 1, "file_name": "1.png"} | size,
        {"id": 2, "file_name": "0.png"} | size,
        {"id": 3, "file_name": "gone.png"} | size,
        {"id": 4, "file_name": "2.png", "height": HEIGHT, "width": 9},
    ]
    dataset = write_coco(tmp_path, [annotation(1, [RING], image=3)], n_images=3, images=entries)
    assert told(dataset) == {
        ("0.png", "images '0.png' and '1.png' share the id 1"),
        ("1.png", "images '0.png' and '1.png' share the id 1"),
        ("0.png", "image '0.png' is listed twice, in annotations.json and annotations.json"),
        ("gone.png", "image 'gone.png' is not in images"),
    }
    ((_, _, problem),) = refusals(dataset, "2.png")
    assert problem == "image '2.png' is 24 x 40, but 24 x 9 here"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": 3}, "annotations.json: not a COCO file: images: Input should be a valid array"),
        ({"annotations": [{"id": 1}]}, "annotations.json: not a COCO file: annotations.0.image_id: Field required"),
        ({"categories": [{"id": 1, "name": "dent"}, {"id": 1, "name": "stain"}]}, "two categories share an id"),
        ({"categories": [{"id": 1, "name": "dent"}]}, r"dataset.classes has others: \['stain'\]"),
    ],
)
def test_coco_unusable_files(tmp_path, changes, message):
    with pytest.raises(LabelFileError, match=message):
        READERS["coco"](write_coco(tmp_path, **changes))


def test_coco_file_is_missing(tmp_path):
    dataset = write_coco(tmp_path, [])
    (tmp_path / "annotations.json").unlink()
    assert dataset.missing() == [f"dataset.annotations: no such file: {tmp_path / 'annotations.json'}"]

"""Label Studio: which annotation and which image is meant, what is read, and what is refused."""

import json

import numpy as np
import pytest
from foreign_datasets import CLASSES, read_masks, rectangle, refusals, shape, told
from hypothesis import given
from hypothesis import strategies as st
from small_datasets import HEIGHT, WIDTH, drawn, write_image
from written_by_tools import brush_code

from defectbench.config.ingest import FORMATS
from defectbench.data.brush_rle import decode_brush, encode_brush
from defectbench.data.readers import READERS
from defectbench.data.readers.base import LabelFileError

SIZE = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}


def result(kind: str, value: dict, label: str = "dent", **more: object) -> dict:
    return {"id": "r", "type": kind, "value": value | {kind: [label]}, **SIZE, **more}


def polygon(*points: tuple[float, float], **more: object) -> dict:
    return result("polygonlabels", {"points": [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points]} | more)


RING = polygon((2, 2), (8, 2), (8, 8), (2, 8))


def brush(mask: np.ndarray) -> dict:
    return result("brushlabels", {"format": "rle", "rle": brush_code(mask, literal=False)})


def task(results: list[dict], image: str = "a.png", **more: object) -> dict:
    return {"id": 5, "data": {"image": image}, "annotations": [{"id": 1, "result": results}]} | more


def write_label_studio(root, tasks: list[dict], images=("a.png",), **settings):
    for number, name in enumerate(images):
        write_image(root / "images" / name, seed=number)
    (root / "project.json").write_text(json.dumps(tasks))
    values = {"name": "parts", "format": "label_studio", "root": root, "classes": CLASSES}
    return FORMATS["label_studio"](**values | settings)


def test_brushes_polygons_and_ellipses(tmp_path):
    ellipse = {"x": 50, "y": 50, "radiusX": 900 / WIDTH, "radiusY": 300 / HEIGHT, "rotation": 90}
    results = [brush(shape(3)), RING, result("ellipselabels", ellipse, "stain")]
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    masks = read_masks(write_label_studio(tmp_path, [task(results)]), "a.png")
    np.testing.assert_array_equal(masks[0], shape(3) | rectangle(2, 8, 2, 8))
    np.testing.assert_array_equal(masks[1], ((x - 20) / 3) ** 2 + ((y - 12) / 9) ** 2 <= 1)


def test_a_region_of_two_labels_is_of_both(tmp_path):
    both = RING | {"value": RING["value"] | {"polygonlabels": ["dent", "stain"]}}
    masks = read_masks(write_label_studio(tmp_path, [task([both])]), "a.png")
    np.testing.assert_array_equal(masks, [rectangle(2, 8, 2, 8)] * 2)


def annotations(*entries: tuple[int, str, dict]) -> dict:
    """A task with annotations of a number, a time and further keys; each has a square of its number's size."""
    given = [
        {"id": number, "updated_at": time, "result": [polygon((0, 0), (number, 0), (number, number), (0, number))]}
        | more
        for number, time, more in entries
    ]
    return task([], annotations=given)


def test_one_annotation_of_several(tmp_path):
    three = annotations(
        (1, "2024-05-01T10:00:00Z", {}), (3, "2024-05-02T09:00:00Z", {}), (2, "2024-05-01T11:00:00Z", {})
    )
    ((sample, problem),) = told(write_label_studio(tmp_path, [three]))
    advice = "mark one as ground truth in Label Studio, or set several: newest"
    assert (sample, problem) == ("a.png", f"task 5: has 3 annotations; {advice}")
    labels = READERS["label_studio"](write_label_studio(tmp_path, [three], several="newest"))
    assert drawn(labels, "a.png")[0].sum() == 9
    assert [tuple(note) for note in labels.notes] == [
        ("a.png", "one of several annotations", "annotation 3 of 3, changed last, 2024-05-02T09:00:00Z")
    ]
    truth = annotations((1, "", {"ground_truth": True}), (3, "2024", {}))
    labels = READERS["label_studio"](write_label_studio(tmp_path, [truth]))
    assert drawn(labels, "a.png")[0].sum() == 1
    assert labels.notes[0].detail == "annotation 1 of 2, marked as ground truth"
    skipped = annotations((1, "", {}), (3, "", {"was_cancelled": True}))
    assert read_masks(write_label_studio(tmp_path, [skipped]), "a.png")[0].sum() == 1


@pytest.mark.parametrize(
    ("tasks", "problem"),
    [
        ([task([], annotations=[])], "task 5: has no annotation, so the image is not known to be clean"),
        ([annotations((1, "", {"was_cancelled": True}))], "task 5: was skipped by all annotators, so the image"),
        ([task([]), task([])], "task 5: image 'a.png' has another task, in project.json"),
        ([task([RING | {"original_width": None}])], "task 5: result r: lacks original_height or original_width"),
        ([task([RING | {"image_rotation": 90}])], "task 5: result r: drawn on the image turned by 90 degrees"),
        ([task([RING, RING | {"original_width": 9}])], "task 5: regions are of images of different sizes"),
        (
            [task([RING | {"type": "labels", "value": {"labels": ["dent"]}}])],
            "task 5: result r: labels without",
        ),
        ([task([RING | {"value": {"points": []}}])], "task 5: result r: a polygon without a label"),
        ([], "has no task in *.json"),
    ],
)
def test_tasks_that_say_nothing_certain(tmp_path, tasks, problem):
    ((sample, found),) = told(write_label_studio(tmp_path, tasks))
    assert sample == "a.png"
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("region", "problem"),
    [
        (
            result("polygonlabels", {"points": []}, "Dent"),
            "class 'Dent' is not in classes: dent, stain; did you mean 'dent'?",
        ),
        (polygon((0, 0), (50, 0), (5, 5)), "polygon leaves the image: x = 50"),
        (polygon((0, 0), (5, 0), (5, 5), closed=False), "polygon is not closed; close it in Label Studio"),
        (result("polygonlabels", {"points": "?"}), "polygon cannot be read: points: Input should be a valid list"),
        (result("keypointlabels", {"x": 1, "y": 1}), "a keypoint is not read; draw it with the brush or as a polygon"),
        (result("starlabels", {"points": []}), "a star is not read"),
        (result("bitmasklabels", {"imageDataURL": ""}), "a bitmask is not read"),
        (
            result("rectanglelabels", {"x": 0, "y": 0, "width": 5, "height": 5}),
            "a box, not an outline; 'boxes: fill' reads",
        ),
        (result("brushlabels", {"rle": "?"}), "brush cannot be read: rle: Input should be a valid bytes"),
        (result("brushlabels", {"rle": [256]}), "rle must be a list of numbers from 0 to 255"),
        (result("brushlabels", {"rle": [0, 0, 0]}), "rle is cut short"),
        (result("brushlabels", {"rle": brush_code(shape(), literal=False)[:-9]}), "rle is cut short"),
        (brush(shape()[:-1]), f"rle holds {4 * (HEIGHT - 1) * WIDTH} values; an image of 24 x 40 has 3840"),
        (result("brushlabels", {"rle": [255] * 4}), "rle holds 4294967295 values"),
    ],
)
def test_bad_regions(tmp_path, region, problem):
    ((file, row, found),) = refusals(write_label_studio(tmp_path, [task([RING, region])]), "a.png")
    assert (file, row) == ("project.json", None)
    assert found.startswith(f"task 5, result r: {problem}")


def test_an_image_that_is_called_defective_without_a_region_is_not_clean(tmp_path):
    choice = {"id": "c", "type": "choices", "value": {"choices": ["sure", "dent"]}}
    ((_, _, problem),) = refusals(write_label_studio(tmp_path, [task([choice])]), "a.png")
    assert problem == "the image as a whole is called dent, but no shape shows where it is"
    assert read_masks(write_label_studio(tmp_path, [task([choice, RING])]), "a.png").any()


def test_boxes_that_are_asked_for(tmp_path):
    box = {"x": 100 * 3 / WIDTH, "y": 100 * 2 / HEIGHT, "width": 100 * 6 / WIDTH, "height": 100 * 4 / HEIGHT}
    dataset = write_label_studio(tmp_path, [task([result("rectanglelabels", box)])], boxes="fill")
    np.testing.assert_array_equal(read_masks(dataset, "a.png")[0], rectangle(2, 6, 3, 9))
    turned = write_label_studio(tmp_path, [task([result("rectanglelabels", box | {"rotation": 9})])], boxes="fill")
    assert refusals(turned, "a.png")[0][2] == "task 5, result r: a box that is rotated; draw it as a polygon"


def matched(tmp_path, address: str, images: tuple[str, ...]) -> list[str]:
    """Images that a task with this address is of."""
    labels = READERS["label_studio"](write_label_studio(tmp_path, [task([RING], address)], images))
    without = {problem.sample for problem in labels.problems}
    return [image_id for image_id in images if image_id not in without and drawn(labels, image_id).any()]


def test_a_name_that_begins_like_an_upload_is_that_image(tmp_path):
    images = ("deadbeef-a.png", "a.png")
    assert matched(tmp_path, "/data/upload/1/deadbeef-a.png", images) == ["deadbeef-a.png"]
    assert matched(tmp_path, "/data/upload/1/0badcafe-a.png", images) == ["a.png"]
    assert matched(tmp_path, "/data/upload/1/0badcafe-deadbeef-a.png", images) == ["deadbeef-a.png"]


def test_an_upload_that_may_be_of_two_images_is_of_none(tmp_path):
    images = ("lot1/a.png", "lot2/a.png")
    assert matched(tmp_path, "/data/upload/1/0badcafe-a.png", images) == []
    assert matched(tmp_path, "s3://bucket/set/lot2/a.png", images) == ["lot2/a.png"]


def test_a_shorter_path_does_not_win_over_one_in_another_case(tmp_path):
    assert matched(tmp_path, "s3://bucket/LOT/a.png", ("a.png", "lot/a.png")) == ["lot/a.png"]


def test_an_address_with_other_folders_than_the_others_is_noted(tmp_path):
    images = ("a.png", "lot/b.png", "lot/c.png")
    tasks = [task([RING], f"s3://bucket/{name}") for name in ("lot3/a.png", "lot/b.png", "lot/c.png")]
    labels = READERS["label_studio"](write_label_studio(tmp_path, tasks, images))
    assert labels.problems == []
    assert [(note.sample, note.finding, note.detail) for note in labels.notes] == [
        ("a.png", "name written differently", "'lot3/a.png' was taken for 'a.png'")
    ]


def test_tasks_without_image(tmp_path):
    dataset = write_label_studio(tmp_path, [task([RING], "/data/upload/1/0badcafe-a.jpg")])
    stray, lacking = sorted(told(dataset), reverse=True)
    assert stray[0] == "project.json, task 5"
    assert "none of ['/data/upload/1/0badcafe-a.jpg'] is an image of images; did you mean 'a.png'?" in stray[1]
    assert lacking == ("a.png", "has no task in *.json")


@pytest.mark.parametrize("content", ["{}", '[{"image": "a.png", "id": 1, "label": []}]', "[1]", "", "\ufeff[}"])
def test_other_files_are_refused(tmp_path, content):
    dataset = write_label_studio(tmp_path, [])
    (tmp_path / "project.json").write_text(content)
    with pytest.raises(
        LabelFileError, match=r"project.json: not an export of Label Studio as JSON \(JSON-MIN is not read\)"
    ):
        READERS["label_studio"](dataset)


@given(seed=st.integers(0, 1000), literal=st.booleans(), height=st.integers(1, 20), width=st.integers(1, 30))
def test_the_code_of_brushes(seed, literal, height, width):
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) < rng.random()
    sizes = ((3, 4, 8, 16), (1, 2, 3, 5))[seed % 2]
    np.testing.assert_array_equal(decode_brush(bytes(brush_code(mask, literal, sizes)), height, width), mask)
    assert encode_brush(mask) == brush_code(mask, literal=False)


def test_long_runs_are_split():
    mask = np.zeros((300, 400), np.uint8)
    mask[10:290] = 1
    assert encode_brush(mask) == brush_code(mask, literal=False)
    np.testing.assert_array_equal(decode_brush(bytes(encode_brush(mask)), 300, 400), mask == 1)


def test_a_brush_that_is_hardly_visible_is_refused():
    mask = shape()
    faint, firm = (bytes(brush_code(mask, literal=False, alpha=alpha)) for alpha in (127, 128))
    np.testing.assert_array_equal(decode_brush(firm, HEIGHT, WIDTH), mask)
    with pytest.raises(ValueError, match="less than half opaque everywhere"):
        decode_brush(faint, HEIGHT, WIDTH)

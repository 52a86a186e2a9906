"""LabelMe: what is read, and what is refused."""

import base64
import io
import json

import numpy as np
import pytest
from foreign_datasets import CLASSES, SQUARE, read_masks, rectangle, refusals, shape, told
from PIL import Image
from small_datasets import HEIGHT, WIDTH, drawn, write_image

from defectbench.config.ingest import FORMATS
from defectbench.data.readers import READERS


def write_labelme(root, shapes: list[dict], images=("a.png",), changes=None, **settings):
    for number, name in enumerate(images):
        write_image(root / "images" / name, seed=number)
    content = {"shapes": shapes, "imagePath": "a.png", "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}
    (root / "images" / "a.json").write_text(json.dumps(content | (changes or {})))
    values = {"name": "parts", "format": "labelme", "root": root, "classes": CLASSES}
    return FORMATS["labelme"](**values | settings)


def labelled(kind: str, *points, label: str = "dent", **more: object) -> dict:
    return {"label": label, "shape_type": kind, "points": list(points), **more}


def png(mask: np.ndarray, mode: str = "1") -> str:
    file = io.BytesIO()
    Image.fromarray(mask * np.uint8(255)).convert(mode).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_polygons_rectangles_circles_and_masks(tmp_path):
    shapes = [
        labelled("polygon", *SQUARE),
        labelled("rectangle", (30.9, 20.5), (28.1, 17.0), label="dent"),
        labelled("circle", (20, 12), (23, 16), label="stain"),
    ]
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    expected = [rectangle(3, 10, 2, 9) + rectangle(17, 21, 28, 31), (x - 20) ** 2 + (y - 12) ** 2 <= 25]
    np.testing.assert_array_equal(read_masks(write_labelme(tmp_path, shapes), "a.png"), expected)
    part = shape(2)[:9, :12]
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:12, 5:17] = part
    for mode in ("1", "L"):
        bitmap = labelled("mask", (5, 3), (16, 11), mask=png(part, mode))
        np.testing.assert_array_equal(read_masks(write_labelme(tmp_path, [bitmap]), "a.png")[0], mask)


def test_a_circle_may_leave_the_image(tmp_path):
    mask = read_masks(write_labelme(tmp_path, [labelled("circle", (0, 0), (5, 0))]), "a.png")[0]
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    np.testing.assert_array_equal(mask, x**2 + y**2 <= 25)


def test_files_without_sizes_and_with_another_suffix_of_the_image(tmp_path):
    changes = {"imageHeight": None, "imageWidth": None, "imagePath": "..\\photos\\A.bmp", "version": "3.16"}
    old = {"label": "dent", "points": list(SQUARE)}
    np.testing.assert_array_equal(
        read_masks(write_labelme(tmp_path, [old], changes=changes), "a.png")[0], rectangle(3, 10, 2, 9)
    )


@pytest.mark.parametrize(
    ("labelled", "problem"),
    [
        (
            labelled("linestrip", *SQUARE),
            "shapes.1: a linestrip has no area or is not read; draw it as",
        ),
        (labelled("point", (1, 1)), "shapes.1: a point has no area"),
        (
            labelled("polygon", *SQUARE, label="dents"),
            "shapes.1: class 'dents' is not in classes: dent, stain; did",
        ),
        (labelled("polygon", *SQUARE, label="__ignore__"), "shapes.1: class '__ignore__' is not in classes"),
        (labelled("polygon", (0, 0), (4, 4), (50, 0)), "shapes.1: polygon leaves the image"),
        (labelled("rectangle", (0, 0)), "shapes.1: rectangle has 1 points; it needs 2"),
        (labelled("circle", (0, 0), (float("nan"), 1)), "shapes.1: ellipse needs finite numbers"),
        (labelled("circle", (99, 99), (99, 98)), "shapes.1: ellipse is outside the image: centre (99.0, 99.0)"),
        (labelled("mask", (0, 0), (3, 3), mask="?"), "shapes.1: mask cannot be read"),
        (labelled("mask", (0, 0), (3, 3)), "shapes.1: mask cannot be read"),
        (
            labelled("mask", (0, 0), (9, 9), mask=png(shape()[:9, :9])),
            "shapes.1: mask is 9 x 9, its points have",
        ),
        (labelled("mask", (38, 0), (46, 8), mask=png(shape()[:9, :9])), "shapes.1: mask leaves the image"),
        (labelled("mask", (0, 0), (8, 8), mask=png(shape()[:9, :9], "RGB")), "shapes.1: mask has colours"),
        ({"points": []}, "not a file of LabelMe: shapes.1.label: Field required"),
    ],
)
def test_bad_shapes(tmp_path, labelled, problem):
    first = {"label": "stain", "points": list(SQUARE)}
    dataset = write_labelme(tmp_path, [first, labelled])
    ((file, row, found),) = refusals(dataset, "a.png")
    assert (file, row) == ("images/a.json", None)
    assert found.startswith(problem)


def test_shapes_with_nothing_to_draw_are_left_out_and_noted(tmp_path):
    dots = [labelled("circle", (5, 5), (5.2, 5)), labelled("polygon", (1, 1), (2, 2))]
    labels = READERS["labelme"](write_labelme(tmp_path, dots))
    assert not drawn(labels, "a.png").any()
    ((sample, finding, detail),) = labels.notes
    assert (sample, finding) == ("a.png", "shape left out")
    assert detail.startswith("2 in images/a.json: shapes.0: ellipse covers no pixel, shapes.1: polygon has 2 points")


def test_a_bitmap_larger_than_its_image_is_not_unpacked(tmp_path):
    huge = np.zeros((6000, 6000), np.uint8)
    dataset = write_labelme(tmp_path, [labelled("mask", (0, 0), (5999, 5999), mask=png(huge))])
    assert refusals(dataset, "a.png")[0][2] == "shapes.0: mask of 6000 x 6000 pixels is larger than its image"


def test_files_of_another_image_or_size(tmp_path):
    other = write_labelme(tmp_path, [], changes={"imagePath": "b.png"})
    ((_, _, problem),) = refusals(other, "a.png")
    assert problem == "is of 'b.png' (imagePath), not of 'a.png', which has its name: rename one of them"
    ((_, _, problem),) = refusals(write_labelme(tmp_path, [], changes={"imageWidth": 7}), "a.png")
    assert problem == "labels are for 24 x 7 pixels, their image has 24 x 40"


def test_an_image_that_is_called_defective_without_a_shape_is_not_clean(tmp_path):
    flags = {"flags": {"blurred": True, "dent": True, "stain": False}}
    ((_, _, problem),) = refusals(write_labelme(tmp_path, [], changes=flags), "a.png")
    assert problem == "the image as a whole is called dent, but no shape shows where it is"
    assert not read_masks(write_labelme(tmp_path, [], changes={"flags": {"dent": False}}), "a.png").any()


def test_images_and_files_without_partner(tmp_path):
    dataset = write_labelme(tmp_path, [], ["a.png", "b.png"])
    (tmp_path / "images" / "A_1.json").write_text(json.dumps({"shapes": [], "imagePath": "x.png", "imageData": "aaaa"}))
    assert told(dataset) == {
        ("b.png", "has no label file images/b.json; if images without one are clean, set missing_label: clean"),
        (
            "images/A_1.json",
            "label file has no image; it holds a copy, imageData: save it as 'x.png', with LabelMe's "
            "labelme_export_json",
        ),
    }
    clean = write_labelme(tmp_path, [], ["a.png", "b.png"], missing_label="clean")
    labels = READERS["labelme"](clean)
    assert [(problem.sample, problem.always_stops) for problem in labels.problems] == [("images/A_1.json", True)]
    assert not drawn(labels, "b.png").any()


def test_a_folder_without_any_file_is_not_clean(tmp_path):
    dataset = write_labelme(tmp_path, [], ["a.png", "lot/b.png"], missing_label="clean")
    ((sample, problem),) = told(dataset)
    assert sample == "lot/b.png"
    assert problem.startswith("no image of its folder has a label, so it is not known to be clean")


def test_two_images_of_one_file(tmp_path):
    dataset = write_labelme(tmp_path, [], ["a.png", "a.jpg"])
    problem = "is the label file of 2 images, a.jpg, a.png: it is unclear of which"
    assert told(dataset) == {("a.png", problem), ("a.jpg", problem)}

"""Polygons, the older Severstal table, colour masks; and damaged files of every format."""

import contextlib
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from foreign_datasets import (
    COLOURS,
    RING,
    SQUARE,
    annotation,
    bitmap,
    colour_mask,
    compressed,
    line,
    polygon,
    read_masks,
    rectangle,
    refusals,
    shape,
    told,
    uncompressed,
    write_coco,
    write_old_severstal,
    write_supervisely,
    write_yolo,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from small_datasets import HEIGHT, WIDTH, drawn, write_image, write_masks, write_severstal

from defectbench.config.ingest import DatasetSettings
from defectbench.data.contours import trace_contours
from defectbench.data.polygons import PolygonError, check_points, draw_polygons
from defectbench.data.readers import READERS
from defectbench.data.readers.base import BadLabels, image_ids
from defectbench.data.rle import encode_severstal
from defectbench.script import UserError

# polygons -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_traced_outlines_are_drawn_back_exactly(seed):
    rings, _ = cv2.findContours(shape(seed), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    np.testing.assert_array_equal(draw_polygons([ring[:, 0] for ring in rings], HEIGHT, WIDTH), shape(seed))
    np.testing.assert_array_equal(draw_polygons(trace_contours(shape(seed)), HEIGHT, WIDTH), shape(seed))


def test_a_crack_one_pixel_wide_stays():
    crack = rectangle(3, 20, 7, 8)
    np.testing.assert_array_equal(draw_polygons([np.array([[7, 3], [6.999999, 19], [7.9, 19]])], HEIGHT, WIDTH), crack)


def test_no_polygon_draws_nothing():
    assert not draw_polygons([], HEIGHT, WIDTH).any()


def test_points_just_outside_move_to_the_border():
    points = check_points([[-0.9, -0.9], [WIDTH + 0.9, 3.5], [5, HEIGHT + 0.9]], HEIGHT, WIDTH)
    assert points.tolist() == [[0, 0], [WIDTH, 3.5], [5, HEIGHT]]
    assert draw_polygons([points], HEIGHT, WIDTH)[:, -1].any()  # the far edge belongs to the last pixels


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "0 points"),
        ([[1, 1], [2, 2]], "2 points"),
        ([[1, 1], [2, 2], [WIDTH + 1.1, 2]], "leaves the image"),
        ([[1, 1], [2, -1.1], [3, 3]], "leaves the image"),
        ([[1, 1], [2, float("nan")], [3, 3]], "leaves the image"),
        ([[1, 1], [2, float("-inf")], [3, 3]], "leaves the image"),
    ],
)
def test_no_polygon_of_the_image(points, message):
    with pytest.raises(PolygonError, match=message):
        check_points(points, HEIGHT, WIDTH)


# severstal_csv --------------------------------------------------------------------------------------------------


def test_old_severstal_form(tmp_path):
    code = encode_severstal(shape())
    dataset = write_old_severstal(tmp_path, ["0.png_1,", f"0.png_2,{code}", "0.png_3,", "0.png_4,1 2"])
    masks = read_masks(dataset, "0.png")
    np.testing.assert_array_equal(masks[1], shape())
    assert masks.sum(axis=(1, 2)).tolist() == [0, shape().sum(), 0, 2]


def test_old_severstal_row_without_a_class_is_a_problem_of_its_image(tmp_path):
    dataset = write_old_severstal(tmp_path, ["0.png,1 2", "1.png_9,", "8.png_1,"])
    assert told(dataset) == {
        ("0.png", "ClassId '' is not in classes: 1, 2, 3, 4"),
        ("1.png", "ClassId '9' is not in classes: 1, 2, 3, 4"),
        ("8.png", "image '8.png' is not in train_images"),
    }


def test_old_severstal_row_without_a_class_of_an_image_with_an_underscore(tmp_path):
    dataset = write_old_severstal(tmp_path, ["0.png_1,", "cam_2.png,1 2", "cam_2.png_4,1 2"])
    write_image(tmp_path / "train_images" / "cam_2.png")
    assert told(dataset) == {("cam_2.png", "ClassId '' is not in classes: 1, 2, 3, 4")}


def test_severstal_rows_of_clean_images(tmp_path):
    dataset = write_severstal(tmp_path, ["0.png,,", "1.png,3.0,5 1", "2.png,1,"])
    assert [read_masks(dataset, f"{index}.png").sum() for index in range(3)] == [0, 1, 0]
    assert read_masks(dataset, "1.png")[2].sum() == 1


# mask_folder, colour --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colour_masks(tmp_path, mode):
    dataset = write_masks(tmp_path, {"a": colour_mask()}, mask_kind="colour", colours=COLOURS)
    Image.fromarray(colour_mask()).convert(mode, palette=Image.Palette.ADAPTIVE).save(tmp_path / "masks" / "a.png")
    expected = np.stack([rectangle(2, 5, 3, 9), rectangle(10, HEIGHT, 20, WIDTH)])
    np.testing.assert_array_equal(read_masks(dataset, "a.png"), expected)


def test_unknown_colour(tmp_path):
    mask = colour_mask()
    mask[0, 0] = 1, 2, 3
    dataset = write_masks(tmp_path, {"a": mask[..., ::-1]}, mask_kind="colour", colours=COLOURS)
    ((file, _, problem),) = refusals(dataset, "a.png")
    allowed = "[0, 0, 0] (background), [220, 20, 60], [0, 128, 255]"
    assert (file, problem) == ("masks/a.png", f"mask has the colours [1, 2, 3]; allowed: {allowed}")


@pytest.mark.parametrize(
    ("kind", "colours", "message"),
    [
        ("colour", {}, "colours are needed for dent, stain; got none"),
        ("colour", {"dent": [1, 1, 1]}, "colours are needed for dent, stain; got dent"),
        ("colour", {"dent": [1, 1, 1], "stain": [1, 1, 1]}, "must differ"),
        ("colour", {"dent": [1, 1, 1], "stain": [0, 0, 0]}, "must differ"),
        ("colour", {"dent": [1, 1, 1], "stain": [0, 0, 256]}, "are from 0 to 255"),
        ("index", COLOURS, "colours are only for mask_kind: colour"),
    ],
)
def test_colour_tables(tmp_path, kind, colours, message):
    with pytest.raises(ValidationError, match=message):
        write_masks(tmp_path, {}, mask_kind=kind, colours=colours)


# damaged files --------------------------------------------------------------------------------------------------


def write_colour_masks(root: Path) -> DatasetSettings:
    return write_masks(root, {"a": colour_mask(), "b": 0 * colour_mask()}, mask_kind="colour", colours=COLOURS)


WHOLE = {
    "severstal": lambda root: write_severstal(root, ["0.png,1,1 5", "1.png,,", "2.png,3,100 7 300 9"]),
    "severstal_old": lambda root: write_old_severstal(root, ["0.png_1,1 5", "1.png_2,", "2.png_3,100 7 300 9"]),
    "mask_folder": write_colour_masks,
    "supervisely": lambda root: write_supervisely(
        root, {"lot/a.png": [bitmap(shape()), polygon([[1, 1], [9, 1], [9, 9]])], "lot/b.png": []}
    ),
    "yolo": lambda root: write_yolo(
        root, {"images/a.png": line(0, *SQUARE) + "1 0.5 0.5 0.1 0.1\n", "images/b.png": ""}, boxes="fill"
    ),
    "coco": lambda root: write_coco(
        root, [annotation(1, [RING]), annotation(2, compressed(shape())), annotation(3, uncompressed(shape()))]
    ),
}
ODD_VALUES = [None, True, -1, 0, 2.5, 1e300, 10**30, float("nan"), "", "dent", [], [[]], {}, {"size": 1}]


def damage_bytes(data: st.DataObject, content: bytes) -> bytes:
    """Cut, overwrite or insert somewhere."""
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(start + 40, len(content))))
    words = st.sampled_from([b"", b'"', b"-", b"99999", b"\xff\xfe", b"[" * 1000, b",", b"\n", b"nan", b"\0"])
    return content[:start] + data.draw(st.one_of(words, st.binary(max_size=8))) + content[end:]


def damage_tree(data: st.DataObject, tree: object) -> object:
    """Put an odd value somewhere into what a JSON file holds, or leave something out."""
    if isinstance(tree, dict | list) and tree and data.draw(st.integers(0, 5)):
        tree = tree.copy()
        key = data.draw(st.sampled_from(list(tree) if isinstance(tree, dict) else range(len(tree))))
        if data.draw(st.integers(0, 9)):
            tree[key] = damage_tree(data, tree[key])
        else:
            del tree[key]
        return tree
    return data.draw(st.sampled_from(ODD_VALUES))


@pytest.mark.parametrize("form", WHOLE)
@given(data=st.data())
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
def test_damaged_label_files_give_clear_errors(form, data):
    with tempfile.TemporaryDirectory() as folder:
        dataset = WHOLE[form](Path(folder))
        path = data.draw(st.sampled_from(dataset.label_files()))
        if path.suffix == ".json" and data.draw(st.booleans()):
            path.write_text(json.dumps(damage_tree(data, json.loads(path.read_text()))))
        else:
            path.write_bytes(damage_bytes(data, path.read_bytes()))
        with contextlib.suppress(UserError):
            labels = READERS[dataset.format](dataset)
            problems = list(labels.problems)
            for image_id in image_ids(dataset):
                try:
                    masks = drawn(labels, image_id)
                    assert masks.shape == (len(dataset.classes), HEIGHT, WIDTH)
                    assert masks.max() <= 1
                except BadLabels as error:
                    problems += error.problems
            assert all(problem.problem for problem in problems)

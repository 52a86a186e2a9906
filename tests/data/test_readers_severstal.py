"""The reader of Severstal's label table, in both forms."""

import numpy as np
import pytest
from foreign_datasets import (
    read_masks,
    shape,
    told,
    write_old_severstal,
)
from small_datasets import HEIGHT, WIDTH, drawn, write_image, write_severstal

from defectbench.data.readers import severstal_csv
from defectbench.data.readers.base import BadLabels, LabelFileError
from defectbench.data.rle import encode_severstal


def test_severstal_masks_stand_in_class_order(tmp_path):
    labels = severstal_csv.read(write_severstal(tmp_path, ["0.png,3,1 2", "0.png,1,25 1"]))
    masks = drawn(labels, "0.png")
    assert masks.shape == (4, HEIGHT, WIDTH)
    assert masks.dtype == np.uint8
    assert np.argwhere(masks).tolist() == [[0, 0, 1], [2, 0, 0], [2, 1, 0]]
    assert labels.problems == []


def test_severstal_image_without_row_is_clean(tmp_path):
    assert drawn(severstal_csv.read(write_severstal(tmp_path, [])), "1.png").sum() == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0.png,5,1 2", "ClassId '5' is not in classes: 1, 2, 3, 4"),
        ("0.png,one,1 2", "ClassId 'one' is not in classes"),
        ("9.png,1,1 2", "image '9.png' is not in train_images"),
        ("1.png,1,3 4", "already in row 2"),
    ],
)
def test_severstal_problems_of_the_table(tmp_path, row, message):
    labels = severstal_csv.read(write_severstal(tmp_path, ["1.png,1,1 2", row]))
    (problem,) = labels.problems
    assert (problem.sample, problem.file, problem.row) == (row[:5], "train.csv", 3)
    assert message in problem.problem


@pytest.mark.parametrize("code", [f"{HEIGHT * WIDTH} 2", "1 2 3", "5 3 6 1", "a b"])
def test_severstal_bad_code_names_its_row(tmp_path, code):
    labels = severstal_csv.read(write_severstal(tmp_path, ["1.png,1,1 2", f"2.png,4,{code}"]))
    with pytest.raises(BadLabels) as error:
        drawn(labels, "2.png")
    (problem,) = error.value.problems
    assert (problem.sample, problem.file, problem.row) == ("2.png", "train.csv", 3)
    assert "RLE" in problem.problem


def test_severstal_table_without_its_columns(tmp_path):
    settings = write_severstal(tmp_path, [])
    (tmp_path / "train.csv").write_text("image,label\n")
    with pytest.raises(LabelFileError, match=r"missing: ImageId, ClassId, EncodedPixels"):
        severstal_csv.read(settings)


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

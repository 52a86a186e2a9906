"""Run-length codes against decoders written here, pixel by pixel, and against pycocotools."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from defectbench.data.rle import (
    RleError,
    coco_area,
    coco_from_runs,
    decode_coco,
    decode_severstal,
    draw_runs,
    encode_coco,
    encode_severstal,
    runs_from_coco,
    runs_from_counts,
    runs_from_mask,
    runs_from_severstal,
    severstal_from_runs,
)

MASKS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 1))


def brute_force(text: str, height: int, width: int) -> np.ndarray:
    """Set one pixel after the other: pixel k (from 1) is in row (k - 1) % height of column (k - 1) // height."""
    mask = np.zeros((height, width), dtype=np.uint8)
    numbers = list(map(int, text.split()))
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        for pixel in range(start - 1, start - 1 + length):
            mask[pixel % height, pixel // height] = 1
    return mask


@given(MASKS)
def test_severstal_round_trip_agrees_with_brute_force(mask):
    text = encode_severstal(mask)
    np.testing.assert_array_equal(brute_force(text, *mask.shape), mask)
    np.testing.assert_array_equal(decode_severstal(text, *mask.shape), mask)
    assert encode_severstal(mask.astype(bool)) == text


@given(MASKS)
def test_severstal_runs_are_as_few_as_possible(mask):
    flat = "".join(map(str, mask.T.ravel()))
    assert len(encode_severstal(mask).split()) // 2 == len([run for run in flat.split("0") if run])


def test_severstal_by_hand():
    mask = np.array([[1, 0, 0], [1, 1, 0]])
    assert encode_severstal(mask) == "1 2 4 1"
    assert encode_severstal(np.zeros((2, 3))) == ""
    assert decode_severstal("", 2, 3).sum() == 0
    assert decode_severstal("1 6", 2, 3).sum() == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3", "3 numbers"),
        ("1 two", "whole numbers"),
        ("1.5 2", "whole numbers"),
        ("0 2", "before pixel 1"),
        ("-4 2", "before pixel 1"),
        ("3 0", "length below 1"),
        ("3 -1", "length below 1"),
        ("6 2", "beyond the image of 2 x 3 = 6 pixels"),
        ("99 1", "beyond the image"),
        ("1 3 3 1", "overlaps .* out of order: the run before it ends at pixel 3"),
        ("4 1 1 1", "overlaps .* out of order"),
    ],
)
def test_severstal_refuses_bad_codes(text, message):
    with pytest.raises(RleError, match=message):
        decode_severstal(text, 2, 3)


def test_severstal_accepts_runs_that_touch():
    np.testing.assert_array_equal(decode_severstal("1 2 3 1", 2, 3), brute_force("1 3", 2, 3))


@given(MASKS)
def test_coco_round_trip_agrees_with_pycocotools(mask):
    counts = encode_coco(mask)
    assert isinstance(counts, bytes)
    np.testing.assert_array_equal(decode_coco(counts, *mask.shape), mask)
    assert coco.area({"counts": counts, "size": list(mask.shape)}) == mask.sum()
    assert encode_coco(mask.astype(bool)) == encode_coco(np.asfortranarray(mask) * 255) == counts


@given(MASKS)
def test_conversions_between_run_length_forms_need_no_pixels(mask):
    height, width = mask.shape
    reference = coco.encode(np.asfortranarray(mask))["counts"]
    flat = np.r_[0, mask.ravel(order="F"), 0]
    runs = np.flatnonzero(np.diff(flat.astype(int))).reshape(-1, 2)
    text = encode_severstal(mask)
    for found in (runs_from_mask(mask), runs_from_coco(reference), runs_from_severstal(text, height, width)):
        np.testing.assert_array_equal(found, runs)
    assert coco_from_runs(runs, height, width) == reference
    assert severstal_from_runs(runs) == text
    np.testing.assert_array_equal(draw_runs(runs, height, width), mask)
    assert coco_area(reference, height, width) == (runs[:, 1] - runs[:, 0]).sum() == mask.sum()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_runs_from_counts_are_those_of_the_mask(counts):
    flat = np.repeat(np.arange(len(counts)) % 2, counts).astype(np.uint8)
    if flat.size:
        np.testing.assert_array_equal(runs_from_counts(counts), runs_from_mask(flat[:, None]))


def test_runs_that_touch_have_the_code_of_the_joined_run():
    np.testing.assert_array_equal(runs_from_severstal("1 2 3 1 5 1 6 1", 2, 3), [[0, 3], [4, 6]])


def test_numbers_too_large_for_the_machine_are_refused():
    for text in (f"{10**30} 1", f"1 {2**63 - 1}", f"-{10**30} 1", f"{2**63 - 1} {2**63 - 1}"):
        with pytest.raises(RleError):
            decode_severstal(text, 2, 3)


def test_all_real_codes_survive_and_have_the_published_areas(real_data):
    folder = real_data / "severstal_labels"
    table = pd.read_csv(folder / "train.csv")
    areas = pd.read_csv(folder / "class_areas_12568.csv", index_col="ImageId").loc[table["ImageId"].unique()]
    found = pd.DataFrame(0, index=areas.index, columns=areas.columns)
    for image_id, value, code in table.itertuples(index=False):
        runs = runs_from_severstal(code, 256, 1600)
        assert severstal_from_runs(runs_from_coco(coco_from_runs(runs, 256, 1600))) == code
        assert encode_severstal(decode_severstal(code, 256, 1600)) == code
        found.loc[image_id, f"area_{value}"] = (runs[:, 1] - runs[:, 0]).sum()
    assert len(areas) == 1838
    pd.testing.assert_frame_equal(found, areas)

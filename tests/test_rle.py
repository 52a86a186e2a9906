"""Run-length codes against decoders written here, pixel by pixel, and against pycocotools."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from defectbench.data.rle import RleError, decode_coco, decode_severstal, encode_coco, encode_severstal

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


def test_real_codes_survive(real_data):
    codes = pd.read_csv(real_data / "severstal_labels" / "train.csv")["EncodedPixels"][:200]
    for code in codes:
        mask = decode_severstal(code, 256, 1600)
        assert encode_severstal(mask) == code
        assert mask.sum() == sum(map(int, code.split()[1::2]))

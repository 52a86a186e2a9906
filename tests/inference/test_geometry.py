"""Resizing and padding: maps are restored to the image's own pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2.functional import resize

from defectbench.inference.geometry import Geometry

sides = st.integers(1, 150)


@given(sides, sides)
def test_native_pads_to_the_next_multiple_of_32_and_is_restored_exactly(height, width):
    geometry = Geometry.of("native", "native")
    image = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    padded = geometry.apply(image)
    assert padded.shape == (32 * ((height + 31) // 32), 32 * ((width + 31) // 32))
    np.testing.assert_array_equal(padded[:height, :width], image)
    restored = geometry.restore(padded[None].astype(np.float32), height, width)
    np.testing.assert_array_equal(restored[0], image)


def test_padding_repeats_the_edge_in_image_and_mask_alike():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    padded = Geometry.of("native", "native").apply(image)
    assert (padded[:, 3:] == np.repeat(padded[:, 2:3], 29, axis=1)).all()
    assert (padded[2:] == padded[1:2]).all()


@given(sides, sides)
def test_longest_pad_keeps_the_aspect_and_fills_one_side(height, width):
    geometry = Geometry.of("64x96", "longest_pad")
    inner = geometry.scaled_size(height, width)
    assert inner[0] <= 64
    assert inner[1] <= 96
    assert inner[0] == 64 or inner[1] == 96
    assert geometry.apply(np.zeros((height, width, 3), np.uint8)).shape == (64, 96, 3)


def test_a_severstal_image_at_1024_by_256_keeps_its_aspect():
    geometry = Geometry.of("256x1024", "longest_pad")
    image = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 1600, axis=1)
    # 1024 / 1600 = 0.64, and 0.64 · 256 = 163.84.
    assert geometry.scaled_size(256, 1600) == (164, 1024)
    seen = geometry.apply(image)
    assert seen.shape == (256, 1024)
    assert (seen[164:] == seen[163]).all()
    back = geometry.restore(seen[None].astype(np.float32), 256, 1600)
    assert back.shape == (1, 256, 1600)
    assert np.abs(back[0] - image).max() <= 1


def test_an_image_of_the_input_size_is_not_copied():
    image = np.zeros((64, 96), np.uint8)
    assert Geometry.of("64x96", "squash").apply(image) is image
    assert Geometry.of("native", "native").apply(image) is image


def test_squash_reaches_the_size_and_is_restored_to_the_image():
    geometry = Geometry.of("64", "squash")
    image = np.zeros((30, 200), np.uint8)
    image[:, 100:] = 255
    small = geometry.apply(image)
    assert small.shape == (64, 64)
    back = geometry.restore(small[None].astype(np.float32), 30, 200)[0]
    assert back.shape == (30, 200)
    assert ((back > 127) == (image > 127)).mean() > 0.98


@pytest.mark.parametrize("shape", [(256, 1600), (97, 33, 3), (30, 200), (64, 64, 3)])
def test_images_are_scaled_as_torchvision_does_antialiased_along_each_side_that_shrinks(shape):
    image = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    planes = torch.from_numpy(image.reshape(*shape[:2], -1)).permute(2, 0, 1).contiguous()
    expected = resize(planes, [64, 64], antialias=True).permute(1, 2, 0).numpy().reshape(64, 64, *shape[2:])
    np.testing.assert_array_equal(Geometry.of("64", "squash").apply(image), expected)


def test_masks_are_scaled_without_mixed_labels():
    mask = (np.random.default_rng(1).random((50, 70)) > 0.5).astype(np.uint8)
    assert set(np.unique(Geometry.of("64", "squash").apply(mask, mask=True))) <= {0, 1}


def test_a_batch_of_different_sizes_shares_the_largest():
    geometry = Geometry.of("native", "native")
    assert geometry.apply(np.zeros((40, 40), np.uint8), (96, 64)).shape == (96, 64)


@pytest.mark.parametrize(("img_size", "expected"), [("256", (256, 256)), ("256x1600", (256, 1600)), ("native", None)])
def test_sizes_are_read_as_height_by_width(img_size, expected):
    assert Geometry.of(img_size, "squash").size == expected

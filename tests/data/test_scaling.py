"""Limits come from the training images alone, exactly; scaled values are those computed by hand."""

import measure as measure_script
import numpy as np
import pandas as pd
import pytest
from deep_datasets import as_png, as_tiff, noise, write_deep
from small_datasets import HEIGHT, WIDTH
from tiny_packs import call

from defectbench.config.scaling import ScalingSettings
from defectbench.data.ingest import ingest
from defectbench.data.packing import ChannelError, ImagePack
from defectbench.data.scaling import Scaling, measure, split_bands, value_percentiles
from defectbench.data.write_packs import pack_images


def bands_of(images):
    return lambda: (band for image in images for band in split_bands(image))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("shares", [(0.1, 99.9), (0, 100), (12.3, 50)])
def test_percentiles_are_those_of_numpy_over_all_pixels(dtype, channels, shares):
    sizes = [(7, 11), (300, 5), (40, 40)]
    images = [noise(channels, dtype, seed, size) for seed, size in enumerate(sizes)]
    if dtype == "float32":
        images[0] = -images[0]
        images[1].flat[:7] = 0
    pixels = np.concatenate([image.reshape(-1, channels) for image in images])
    expected = np.percentile(pixels, shares, axis=0, method="inverted_cdf")
    np.testing.assert_array_equal(value_percentiles(bands_of(images), np.dtype(dtype), shares), expected)


def test_values_are_scaled_as_by_hand():
    scaling = Scaling("uint16", (1000.0,), (3000.0,), (0.0,), (1.0,), 1, None)
    image = np.array([[0, 999, 1000, 1004, 2000, 2996, 3000, 65535]], np.uint16)
    # 255 * (value - 1000) / 2000, rounded; 2000 lies at 127.5.
    np.testing.assert_array_equal(scaling.apply(image), [[0, 0, 0, 1, 128, 254, 255, 255]])
    by_channel = Scaling("uint16", (0.0, 100.0), (255.0, 200.0), (0.0,) * 2, (1.0,) * 2, 1, None)
    np.testing.assert_array_equal(by_channel.apply(np.array([[[51, 151]]], np.uint16)), [[[51, 130]]])


def test_a_flat_channel_is_scaled_without_numbers_that_are_none():
    scaling = measure(bands_of([np.full((5, 6), 7, np.uint16)]), "uint16", ScalingSettings(), 1)
    assert (scaling.low, scaling.high, scaling.std) == ((7.0,), (7.0,), (0.0,))
    np.testing.assert_array_equal(scaling.apply(np.array([[6, 7, 8]], np.uint16)), [[0, 0, 255]])


def test_statistics_are_those_of_the_scaled_images():
    images = [noise(4, "uint16", seed) for seed in range(3)]
    scaling = measure(bands_of(images), "uint16", ScalingSettings(), 3)
    scaled = np.concatenate([scaling.apply(image).reshape(-1, 4) for image in images]).astype(np.float64)
    np.testing.assert_allclose(scaling.mean, scaled.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(scaling.std, scaled.std(axis=0), rtol=1e-9)


def test_given_limits_are_taken():
    scaling = measure(bands_of([noise(2, "uint16")]), "uint16", ScalingSettings(limits=(0, 4095)), 1)
    assert (scaling.low, scaling.high, scaling.percentiles) == ((0.0, 0.0), (4095.0, 4095.0), None)
    assert "given" in scaling.describe()


def test_channels_of_8_bits_stay_as_they_are():
    image = noise(5, "uint8")
    scaling = measure(bands_of([image]), "uint8", ScalingSettings(), 1)
    assert scaling.apply(image) is image
    np.testing.assert_allclose(scaling.mean, image.reshape(-1, 5).mean(axis=0))
    assert scaling.describe() == ""


def packed(root, images, write=as_tiff, **settings):
    suffix = "tif" if write is as_tiff else "png"
    dataset = write_deep(root, {f"{i}.{suffix}": write(image) for i, image in enumerate(images)}, **settings)
    found = ingest(dataset, root / "found.csv")
    pack_images(found.manifest, root, root / "packed")
    return [f"{i}.{suffix}" for i in range(len(images))]


def measured(root, ids, roles, **settings):
    pd.DataFrame({"image_id": ids, "role": roles}).to_csv(root / "split.csv", index=False)
    ScalingSettings(**settings).write(root / "scaling.yaml")
    out = root / "packed" / "scaling.json"
    call(measure_script, settings=root / "scaling.yaml", pack=root / "packed", split=root / "split.csv", out=out)
    return Scaling.read(out)


def test_val_and_test_images_have_no_part_in_the_limits(tmp_path):
    images = [np.full((HEIGHT, WIDTH), 1000 + seed, np.uint16) for seed in range(3)]
    images += [np.full((HEIGHT, WIDTH), value, np.uint16) for value in (0, 65535, 65535)]
    ids = packed(tmp_path, images, scaling={})
    scaling = measured(tmp_path, ids, ["train"] * 3 + ["val", "test", "test"], percentiles=(0, 100))
    assert (scaling.low, scaling.high, scaling.n_images) == ((1000.0,), (1002.0,), 3)
    pack = ImagePack(tmp_path / "packed")
    assert [int(pack[image_id][0, 0]) for image_id in ids] == [0, 128, 255, 0, 255, 255]


@pytest.mark.parametrize(("channels", "write"), [(1, as_png), (3, as_png), (1, as_tiff), (3, as_tiff), (5, as_tiff)])
def test_a_16_bit_copy_of_8_bit_images_is_scaled_to_the_same(tmp_path, channels, write):
    images = [noise(channels, "uint8", seed) for seed in range(4)]
    for image in images:
        image[0, :2] = np.array([0, 255]).reshape(2, *[1] * (image.ndim - 2))  # so that 16 bits are used in full
    ids = packed(
        tmp_path,
        [image.astype(np.uint16) * 257 for image in images],
        write,
        scaling={},
        **({} if channels in (1, 3) else {"channels": channels}),
    )
    measured(tmp_path, ids, ["train", "train", "val", "test"], percentiles=(0, 100))
    pack = ImagePack(tmp_path / "packed")
    for image_id, image in zip(ids, images, strict=True):
        np.testing.assert_array_equal(pack[image_id], image)
        np.testing.assert_array_equal(pack.read(image_id, np.s_[3:9, 5:20]), image[3:9, 5:20])


def test_chosen_channels_are_read_in_their_order(tmp_path):
    images = [noise(5, "uint8", seed) for seed in range(3)]
    packed(tmp_path, images, channels=5)
    np.testing.assert_array_equal(ImagePack(tmp_path / "packed", channels=[3, 0])["1.tif"], images[1][..., [3, 0]])
    one = ImagePack(tmp_path / "packed", channels=[4])
    assert one.channels == 1
    np.testing.assert_array_equal(one["2.tif"], images[2][..., 4])
    with pytest.raises(ChannelError, match=r"\[5\]: the images have 5"):
        ImagePack(tmp_path / "packed", channels=[5])

"""Images of 16 bits, floats and 1 to 8 channels: read value by value, or refused by name; never reduced in silence."""

import io
import json

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from deep_datasets import as_pages, as_png, as_tiff, noise, write_deep
from PIL import Image
from pydantic import ValidationError
from small_datasets import HEIGHT, WIDTH

from defectbench.data.decoders import ImageError
from defectbench.data.deep_images import decode_pixels, stretch
from defectbench.data.images import decode_image, read_header
from defectbench.data.ingest import BadSamplesError, ingest
from defectbench.data.packing import ImagePack, UnscaledError
from defectbench.data.pixel_formats import picture
from defectbench.data.write_packs import PackError, pack_images, pack_masks, pack_tiles


def decode(data, channels=None, stacked=False):
    header = read_header(data, stacked)
    return header.stored_as, decode_pixels(data, header, channels)


@pytest.mark.parametrize("write", [as_png, as_tiff])
@pytest.mark.parametrize(("channels", "name"), [(1, "grey 16-bit"), (3, "RGB 16-bit")])
def test_16_bits_are_read_value_by_value(write, channels, name):
    image = noise(channels, "uint16")
    stored_as, values = decode(write(image))
    assert (stored_as, values.dtype) == (name, np.uint16)
    np.testing.assert_array_equal(values, image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("layout", ["contig", "separate", "zlib", "tiles", "pages"])
@pytest.mark.parametrize("channels", [2, 3, 4, 5, 8])
def test_channels_of_tiff_files_are_read_in_every_layout(dtype, layout, channels):
    image = noise(channels, dtype)
    options = {"photometric": "minisblack"}
    if layout == "separate":
        data = as_tiff(np.ascontiguousarray(image.transpose(2, 0, 1)), planarconfig="separate", **options)
    elif layout == "pages":
        data = as_pages(image)
    else:
        more = {"zlib": {"compression": "zlib", "predictor": dtype != "float32"}, "tiles": {"tile": (16, 16)}}
        data = as_tiff(image, **options, **more.get(layout, {}))
    stored_as, values = decode(data, channels, layout == "pages")
    kind = "pages" if layout == "pages" else "channels"
    depth = {"uint8": "8-bit", "uint16": "16-bit", "float32": "32-bit float"}[dtype]
    assert (stored_as, values.dtype) == (f"{channels} {kind} {depth}", dtype)
    np.testing.assert_array_equal(values, image)


def test_floats_are_read_value_by_value():
    for image in (noise(1, "float32"), noise(3, "float32")):
        np.testing.assert_array_equal(decode(as_tiff(image))[1], image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    "write", [as_png, lambda image: as_tiff(image, photometric="rgb", extrasamples=["unassalpha"])]
)
def test_alpha_is_a_channel_where_the_dataset_says_so_and_is_dropped_elsewhere(dtype, write):
    image = noise(4, dtype)
    data = write(image)
    np.testing.assert_array_equal(decode(data, 4)[1], image)
    if dtype == "uint16":
        np.testing.assert_array_equal(decode(data)[1], image[..., :3])
    assert decode(data)[0].endswith("with alpha")


def test_grey_with_alpha_has_two_channels(tmp_path):
    image = noise(2, "uint8")
    Image.fromarray(image, "LA").save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    np.testing.assert_array_equal(decode(data, 2)[1], image)
    np.testing.assert_array_equal(decode(data)[1], image[..., 0])


def test_16_bit_images_whose_white_is_0_are_read_as_viewers_show_them():
    image = noise(1, "uint16")
    np.testing.assert_array_equal(decode(as_tiff(image, photometric="miniswhite"))[1], 65535 - image)
    with pytest.raises(ImageError, match="stores white as 0"):
        decode(as_tiff(noise(1, "float32"), photometric="miniswhite"))


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint32", "float64", "float16"])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_other_values_are_refused_by_name(dtype, channels):
    with pytest.raises(ImageError, match=f"{dtype}; values can be 8-bit, 16-bit, 32-bit float"):
        decode(as_tiff(noise(channels, dtype)), None if channels < 5 else 5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_number_are_refused(value):
    image = noise(1, "float32")
    image[3, 5:7] = value
    with pytest.raises(ImageError, match="has 2 values that are no number or infinite"):
        decode(as_tiff(image))


@pytest.mark.parametrize("channels", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_channels_that_nobody_announced_are_refused(dtype, channels):
    data = as_tiff(noise(channels, dtype), photometric="minisblack")
    with pytest.raises(ImageError, match=f"has {channels} channels .*dataset.channels"):
        decode(data)
    with pytest.raises(ImageError, match=f"is {channels} channels"):
        decode_image(data)
    with pytest.raises(ImageError, match=f"of {channels} channels; dataset.channels: 7"):
        decode(data, 7)


def test_pages_are_refused_unless_they_are_announced():
    with pytest.raises(ImageError, match=r"has 5 pages.*dataset\.pages: channels"):
        read_header(as_pages(noise(5, "uint16")))


def test_pages_that_differ_are_refused():
    first, second = as_pages(noise(2, "uint16")), noise(1, "uint16", size=(10, 10))
    file = io.BytesIO(first)
    tifffile.imwrite(file, second, append=True)
    with pytest.raises(ImageError, match="pages that differ"):
        decode(file.getvalue(), 3, stacked=True)


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_files_cut_short_are_refused(share, options, channels):
    data = as_tiff(noise(channels, "uint16"), **options)
    # The tags are at the beginning.
    with pytest.raises(ImageError):
        decode(data[: int(share * len(data))], channels if channels == 5 else None)


def test_channels_compressed_by_what_cannot_be_decoded_are_refused(tmp_path):
    image = noise(4, "uint16")
    cv2.imwrite(str(tmp_path / "a.tif"), image, [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    with pytest.raises(ImageError, match=r"compressed by LZW, .*deflate"):
        decode((tmp_path / "a.tif").read_bytes(), 4)


@pytest.mark.parametrize(
    ("size", "message"), [(11_000, "bytes cannot hold 1,936,000,000"), (20_000, "values; 1,073,741,824 can be read")]
)
def test_channels_that_the_bytes_cannot_hold_are_refused_before_they_are_decoded(tmp_path, size, message):
    path = tmp_path / "a.tif"
    path.write_bytes(as_tiff(noise(8, "uint16"), compression="zlib"))
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag in ("ImageWidth", "ImageLength"):
            file.pages.first.tags[tag].overwrite(size, dtype="I")
    with pytest.raises(ImageError, match=message):
        decode(path.read_bytes(), 8)


def ingested(root, images, write=as_png, **settings):
    dataset = write_deep(
        root, {f"{i}{'.png' if write is as_png else '.tif'}": write(one) for i, one in enumerate(images)}, **settings
    )
    return dataset, ingest(dataset, root / "found.csv")


def test_deep_images_need_a_word(tmp_path):
    with pytest.raises(
        BadSamplesError, match=r"images/0\.png: image is grey 16-bit: if all images are, set dataset\.scaling"
    ):
        ingested(tmp_path, [noise(1, "uint16", seed) for seed in range(3)])


def test_two_depths_are_never_mixed(tmp_path):
    images = [noise(1, "uint16" if seed < 4 else "uint8", seed) for seed in range(6)]
    message = (
        r"images/4\.png: image is 8-bit, most are 16-bit: .*16-bit: 4 images: 0\.png.*8-bit: 2 images: 4\.png, 5\.png"
    )
    with pytest.raises(BadSamplesError, match=message):
        ingested(tmp_path, images, scaling={})
    _, found = ingested(tmp_path, images, scaling={}, on_bad_sample="quarantine")
    assert found.manifest.frame["image_id"].tolist() == [f"{i}.png" for i in range(4)]
    assert found.manifest.n_quarantined == 2


def test_scaling_of_8_bit_images_is_refused(tmp_path):
    with pytest.raises(BadSamplesError, match="all images are 8-bit"):
        ingested(tmp_path, [noise(1, "uint8", seed) for seed in range(3)], scaling={})


@pytest.mark.parametrize(
    ("dtype", "channels"), [("uint16", 1), ("uint16", 3), ("float32", 1), ("uint16", 5), ("uint8", 2), ("float32", 8)]
)
def test_packs_and_their_tiles_hold_the_stored_values(tmp_path, dtype, channels):
    images = [noise(channels, dtype, seed) for seed in range(3)]
    settings = {} if channels in (1, 3) else {"channels": channels}
    settings |= {} if dtype == "uint8" else {"scaling": {}}
    _, found = ingested(tmp_path, images, lambda image: as_tiff(image), **settings)
    assert set(found.manifest.frame["channels"]) == {channels}
    folder = tmp_path / "packed"
    assert pack_images(found.manifest, tmp_path, folder) == channels
    pack_masks(found.manifest, folder)
    pack_tiles(folder, tmp_path / "tiles", (16, 24), 16)
    pack, tiles = ImagePack(folder), ImagePack(tmp_path / "tiles")
    for index, image in enumerate(images):
        np.testing.assert_array_equal(pack.stored(f"{index}.tif"), image)
        np.testing.assert_array_equal(tiles.stored(f"{index}.tif#8_16"), image[8:, 16:])
    assert (pack.dtype, pack.channels, tiles.dtype) == (dtype, channels, dtype)
    if dtype != "uint8":
        with pytest.raises(UnscaledError, match=r"no scaling\.json"):
            pack["0.tif"]


def test_grey_images_among_16_bit_colours_are_repeated(tmp_path):
    grey, colour = noise(1, "uint16"), noise(3, "uint16", 1)
    _, found = ingested(tmp_path, [grey, colour, np.dstack([grey + 1] * 3)], scaling={})
    assert found.manifest.frame["channels"].tolist() == [1, 3, 1]
    pack_images(found.manifest, tmp_path, tmp_path / "packed")
    pack = ImagePack(tmp_path / "packed")
    np.testing.assert_array_equal(pack.stored("0.png"), np.dstack([grey] * 3))
    np.testing.assert_array_equal(pack.stored("1.png"), colour)


def test_packs_of_8_bit_images_say_what_they_said(tmp_path):
    dataset, found = ingested(tmp_path, [noise(1, "uint8", seed) for seed in range(3)])
    pack_images(found.manifest, tmp_path, tmp_path / "packed")
    metadata = json.loads(pq.read_schema(tmp_path / "packed" / "images.parquet").metadata[b"defectbench"])
    assert list(metadata) == ["data_digest"]
    dataset.write(tmp_path / "ingest.yaml")
    assert not {"scaling", "channels", "pages"} & set((tmp_path / "ingest.yaml").read_text().split())
    np.testing.assert_array_equal(
        np.fromfile(tmp_path / "packed" / "images.bin", np.uint8),
        np.concatenate([noise(1, "uint8", seed).ravel() for seed in range(3)]),
    )


def test_copies_of_a_deep_image_are_found_whatever_their_depth(tmp_path):
    smooth = cv2.GaussianBlur(noise(1, "uint8").astype(np.float32), (0, 0), 2)
    deep = cv2.normalize(smooth, None, 0, 60000, cv2.NORM_MINMAX).astype(np.uint16)
    _, found = ingested(tmp_path, [deep, deep // 2 + 500, noise(1, "uint16", 9)], scaling={})
    assert found.manifest.frame["group"].tolist() == ["0.png", "0.png", "2.png"]


def test_pictures_are_drawn_between_percentiles_of_their_own():
    image = np.linspace(1000, 3000, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    drawn = stretch(image)
    assert drawn.dtype == np.uint8
    assert (drawn.min(), drawn.max()) == (0, 255)
    assert np.abs(drawn - (image - 1000.0) / 2000 * 255).max() <= 1.5
    assert picture(noise(5, "uint8")).shape == (HEIGHT, WIDTH, 3)
    assert picture(noise(2, "uint8")).shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pages": "channels"}, "how many pages"),
        ({"channels": 9}, "less than or equal to 8"),
        ({"scaling": {"percentiles": [99, 1]}}, "must rise"),
        ({"scaling": {"limits": [5, 5]}}, "must rise"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, settings, message):
    with pytest.raises(ValidationError, match=message):
        write_deep(tmp_path, {}, **settings)


def test_changed_deep_files_are_noticed(tmp_path):
    _, found = ingested(tmp_path, [noise(1, "uint16", seed) for seed in range(3)], scaling={})
    (tmp_path / "images" / "1.png").write_bytes(as_png(noise(1, "uint16", 7)))
    with pytest.raises(PackError, match="changed since ingest"):
        pack_images(found.manifest, tmp_path, tmp_path / "packed")

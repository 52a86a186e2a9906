"""The reader of mask folders: index, binary and colour masks."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from foreign_datasets import (
    COLOURS,
    colour_mask,
    read_masks,
    rectangle,
    refusals,
    shape,
)
from PIL import Image
from pydantic import ValidationError
from small_datasets import HEIGHT, WIDTH, write_image, write_masks

from defectbench.config.ingest import MaskFolder
from defectbench.data.readers import mask_folder
from defectbench.data.readers.base import BadLabels, Problem


def index_mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    mask[2:5, 3:9] = 1
    mask[10:, 20:] = 2
    return mask


def assert_reads(settings, mask: np.ndarray) -> None:
    masks = mask_folder.read(settings).masks("a.png", HEIGHT, WIDTH)
    np.testing.assert_array_equal(masks, np.stack([mask == 1, mask == 2]))
    assert masks.dtype == np.uint8


def test_grey_index_mask(tmp_path):
    assert_reads(write_masks(tmp_path, {"a": index_mask()}), index_mask())


def test_palette_mask_gives_indices_not_colours(tmp_path):
    settings = write_masks(tmp_path, {"a": index_mask()})
    palette = Image.fromarray(index_mask()).convert("P")
    palette.putdata(index_mask().ravel().tolist())
    palette.putpalette([0, 0, 0, 220, 20, 60, 0, 128, 255])
    palette.save(tmp_path / "masks" / "a.png")
    assert cv2.imread(str(tmp_path / "masks" / "a.png"), cv2.IMREAD_UNCHANGED).ndim == 3  # what must not happen
    assert_reads(settings, index_mask())


@pytest.mark.parametrize("bits", [2, 4])
def test_shallow_grey_mask_gives_stored_values(tmp_path, bits):
    settings = write_masks(tmp_path, {"a": index_mask()})
    (tmp_path / "masks" / "a.png").write_bytes(shallow_png(index_mask(), bits))
    assert_reads(settings, index_mask())


def shallow_png(mask: np.ndarray, bits: int) -> bytes:
    """A grey PNG of ``bits`` per pixel, written by hand: no library at hand writes one."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    unpacked = np.unpackbits(mask[..., None], axis=-1)[..., -bits:].reshape(len(mask), -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(unpacked, axis=-1))
    header = struct.pack(">IIBBBBB", mask.shape[1], mask.shape[0], bits, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_grey_mask_saved_as_rgb(tmp_path):
    assert_reads(write_masks(tmp_path, {"a": np.dstack([index_mask()] * 3)}), index_mask())


def test_masks_in_subfolders_match_by_path_and_stem(tmp_path):
    (tmp_path / "masks" / "lot1").mkdir(parents=True)
    labels = mask_folder.read(write_masks(tmp_path, {"lot1/a": index_mask()}))
    assert labels.problems == []
    assert labels.masks("lot1/a.png", HEIGHT, WIDTH).any()


def test_binary_jpeg_mask_is_cut_at_the_threshold(tmp_path):
    settings = write_masks(tmp_path, {"a": index_mask()}, mask_kind="binary", classes={255: "crack"}, threshold=127)
    truth = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    truth[8:16, 8:24] = 255
    (tmp_path / "masks" / "a.png").unlink()
    cv2.imwrite(str(tmp_path / "masks" / "a.jpg"), truth)
    masks = mask_folder.read(settings).masks("a.png", HEIGHT, WIDTH)
    np.testing.assert_array_equal(masks, truth[None] // 255)


def test_binary_threshold_is_exclusive(tmp_path):
    mask = np.full((HEIGHT, WIDTH), 9, dtype=np.uint8)
    mask[0, 0] = 10
    settings = write_masks(tmp_path, {"a": mask}, mask_kind="binary", classes={1: "crack"}, threshold=9)
    assert np.argwhere(mask_folder.read(settings).masks("a.png", HEIGHT, WIDTH)).tolist() == [[0, 0, 0]]


def bad_labels(settings, image_id: str = "a.png") -> Problem:
    with pytest.raises(BadLabels) as error:
        mask_folder.read(settings).masks(image_id, HEIGHT, WIDTH)
    (problem,) = error.value.problems
    assert (problem.sample, problem.file, problem.row) == ("a.png", "masks/a.png", None)
    return problem


def test_mask_with_unknown_values(tmp_path):
    mask = index_mask()
    mask[0, :2] = 7, 255
    problem = bad_labels(write_masks(tmp_path, {"a": mask}))
    assert problem.problem == "mask has the values 7, 255; allowed: 0 (background), 1, 2"


def test_mask_of_another_size(tmp_path):
    problem = bad_labels(write_masks(tmp_path, {"a": index_mask()[:-1]}))
    assert problem.problem == f"mask is {HEIGHT - 1} x {WIDTH}, its image {HEIGHT} x {WIDTH}"


def test_mask_in_colour(tmp_path):
    colours = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    colours[..., 0] = index_mask()
    assert "has colours" in bad_labels(write_masks(tmp_path, {"a": colours})).problem


@pytest.mark.parametrize("keep", [0, 10, 60])
def test_unreadable_mask(tmp_path, keep):
    settings = write_masks(tmp_path, {"a": index_mask()})
    path = tmp_path / "masks" / "a.png"
    path.write_bytes(path.read_bytes()[:keep])
    assert "cannot be read" in bad_labels(settings).problem


def test_images_and_masks_without_a_partner(tmp_path):
    settings = write_masks(tmp_path, {"a": index_mask(), "b": index_mask(), "c": index_mask()})
    (tmp_path / "masks" / "a.png").unlink()
    (tmp_path / "images" / "b.png").unlink()
    write_image(tmp_path / "images" / "c.jpg")
    labels = mask_folder.read(settings)
    assert sorted(labels.problems) == [
        Problem(
            "a.png", "images/a.png", None, "has no mask; if images without a mask are clean, set missing_mask: clean"
        ),
        Problem("b", "masks/b.png", None, "mask has no image"),
        Problem("c.jpg", "images/c.jpg", None, "2 images and 1 masks share the stem 'c'"),
        Problem("c.png", "images/c.png", None, "2 images and 1 masks share the stem 'c'"),
    ]


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


@pytest.mark.parametrize(
    ("image", "mask", "settings"),
    [
        ("{}/images/lot/{}.png", "{}/masks/lot/{}.png", {"images_dir": ".", "image_folders": "images"}),
        ("all/{}/img/{}.png", "all/{}/gt/{}_m.png", {"images_dir": "all", "image_folders": "img", "masks_dir": "gt"}),
        ("{}/{}.png", "{}/{}_mask.png", {"images_dir": ".", "masks_dir": ".", "mask_suffix": "_mask"}),
    ],
)
def test_masks_beside_and_among_the_images(tmp_path, image, mask, settings):
    drawn_masks = {("train", "a"): shape(1), ("test", "a"): shape(2), ("test", "b"): 0 * shape()}
    if mask.endswith("_m.png"):
        settings = settings | {"mask_suffix": "_m"}
    for key, pixels in drawn_masks.items():
        write_image(tmp_path / image.format(*key))
        (tmp_path / mask.format(*key)).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / mask.format(*key)), pixels)
    values = {"name": "parts", "format": "mask_folder", "root": tmp_path, "classes": {1: "dent"}}
    dataset = MaskFolder(**values | settings)
    assert dataset.missing() == []
    top = "all/" if settings["images_dir"] == "all" else ""
    for key, pixels in drawn_masks.items():
        image_id = image.format(*key).removeprefix(top)
        np.testing.assert_array_equal(read_masks(dataset, image_id)[0], pixels)
    (tmp_path / mask.format("test", "stray")).write_bytes(b"")
    labels = mask_folder.read(dataset)
    assert [problem.problem for problem in labels.problems] == ["mask has no image"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images_dir": "all", "masks_dir": "all"}, "set mask_suffix, which tells masks from images"),
        ({"image_folders": "masks"}, "cannot hold images and masks"),
        ({"image_folders": "images", "mask_kind": "binary", "class_from": "folder"}, "a folder of their own alone"),
    ],
)
def test_places_of_masks_that_contradict(tmp_path, settings, message):
    values = {"name": "parts", "format": "mask_folder", "root": tmp_path, "classes": {1: "dent"}}
    with pytest.raises(ValidationError, match=message):
        MaskFolder(**values | settings)

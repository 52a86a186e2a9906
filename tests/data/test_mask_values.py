"""Masks as people save them: every value counts, and what a reading would throw away is refused."""

import cv2
import numpy as np
import pytest
from foreign_datasets import (
    COLOURS,
    read_masks,
    refusals,
)
from ingested import defective, index_mask, read
from PIL import Image
from small_datasets import write_masks

from defectbench.data.ingest import BadSamplesError


def save(image: Image.Image, **options):
    return lambda path: image.save(path, **options)


def rgba(mask: np.ndarray, alpha: np.ndarray | int) -> Image.Image:
    return Image.fromarray(np.dstack([mask] * 3 + [np.broadcast_to(np.uint8(alpha), mask.shape)]))


WHITE = index_mask(255)
LOSSY = {
    "values below": (save(Image.fromarray(index_mask(38))), "the values 0, 38; a binary mask has 0 and 1 or 0 and 255"),
    "three values": (save(Image.fromarray(index_mask(1, 2))), "the values 0, 1, 2; a binary mask has"),
    "void": (save(Image.fromarray(index_mask(1, 255))), "the values 0, 1, 255; a binary mask has"),
    "no background": (save(Image.fromarray(index_mask(1) + np.uint8(1))), "the values 1, 2; a binary mask has"),
    "colours": (save(Image.fromarray(np.dstack([WHITE, WHITE * 0, WHITE * 0]))), "has colours"),
    "transparent": (save(rgba(WHITE, 0)), "8 drawn pixels that are transparent"),
    "in alpha": (save(rgba(WHITE * 0, WHITE)), "its shapes in the transparency alone"),
    "pages": (
        save(Image.fromarray(WHITE), format="TIFF", save_all=True, append_images=[Image.fromarray(WHITE.T)]),
        "2 pages",
    ),
    "animation": (save(Image.fromarray(WHITE), save_all=True, append_images=[Image.fromarray(255 - WHITE)]), "2 pages"),
    "postscript": (save(Image.fromarray(WHITE), format="EPS"), "cannot be read as BMP, JPEG, PNG, TIFF, WEBP"),
    "cmyk": (save(Image.fromarray(WHITE).convert("CMYK"), format="TIFF"), "stored as CMYK"),
    "fractions": (save(Image.fromarray(WHITE / np.float32(510)), format="TIFF"), "has fractions"),
}


@pytest.mark.parametrize("name", LOSSY)
def test_what_a_reading_of_a_mask_would_throw_away_is_refused(tmp_path, name):
    write, message = LOSSY[name]
    dataset = write_masks(tmp_path, {"a": WHITE}, mask_kind="binary", classes={1: "crack"})
    write(tmp_path / "masks/a.png")
    assert message in refusals(dataset, "a.png")[0][2]


@pytest.mark.parametrize(
    ("mask", "threshold", "message"),
    [
        (index_mask(1), 127, "the values 0, 1, none above the threshold of 127"),
        (index_mask(38), 127, "the values 0, 38, none above"),
        (index_mask(38, 76), 100, "the values 0, 38, 76, none above"),
    ],
)
def test_a_threshold_above_all_that_is_drawn_is_refused(tmp_path, mask, threshold, message):
    dataset = write_masks(tmp_path, {"a": mask}, mask_kind="binary", classes={1: "crack"}, threshold=threshold)
    assert message in refusals(dataset, "a.png")[0][2]
    lower = dataset.model_copy(update={"threshold": 0})
    np.testing.assert_array_equal(read_masks(lower, "a.png")[0], mask > 0)


def test_a_jpeg_without_a_threshold_is_refused_if_nothing_is_white(tmp_path):
    dataset = write_masks(tmp_path, {"a": WHITE}, mask_kind="binary", classes={1: "crack"})
    (tmp_path / "masks/a.png").unlink()
    cv2.imwrite(str(tmp_path / "masks/a.jpg"), index_mask(76))
    assert "none above the threshold of 127" in refusals(dataset, "a.png")[0][2]


@pytest.mark.parametrize("kind", ["index", "colour"])
def test_masks_of_classes_are_not_read_from_jpeg(tmp_path, kind):
    values = {"mask_kind": kind} | ({"colours": COLOURS} if kind == "colour" else {})
    dataset = write_masks(tmp_path, {"a": index_mask(1)}, **values)
    Image.fromarray(index_mask(1)).save(tmp_path / "masks/a.png", format="JPEG")
    assert "which changes values a little" in refusals(dataset, "a.png")[0][2]


def test_a_mask_that_is_turned_by_exif_is_refused(tmp_path):
    dataset = write_masks(tmp_path, {"a": index_mask(1)})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(index_mask(1)).save(tmp_path / "masks/a.png", exif=exif)
    assert "turned by its EXIF data" in refusals(dataset, "a.png")[0][2]


def test_a_palette_of_classes_is_no_binary_mask(tmp_path):
    dataset = write_masks(tmp_path, {"a": WHITE}, mask_kind="binary", classes={1: "crack"})
    image = Image.fromarray(index_mask(15)).convert("P")
    image.putpalette([0, 0, 0] * 15 + [64, 128, 128])
    image.putdata(index_mask(15).ravel().tolist())
    image.save(tmp_path / "masks/a.png")
    assert "a palette with the colours 0 [0, 0, 0], 15 [64, 128, 128]" in refusals(dataset, "a.png")[0][2]


@pytest.mark.parametrize("depth", [np.uint16, np.uint8])
def test_16_bits_a_channel_are_not_cut(tmp_path, depth):
    dataset = write_masks(tmp_path, {"a": index_mask(1)})
    cv2.imwrite(str(tmp_path / "masks/a.png"), np.dstack([index_mask(1)] * 3).astype(depth))
    if depth is np.uint8:
        assert read_masks(dataset, "a.png").sum() == 8
    else:
        assert "16 bits in 3 channels" in refusals(dataset, "a.png")[0][2]


def test_names_of_masks_with_a_suffix_and_clean_images_without(tmp_path):
    dataset = write_masks(tmp_path, {"a": index_mask(1), "b": index_mask()})
    (tmp_path / "masks/a.png").rename(tmp_path / "masks/a_mask.png")
    (tmp_path / "masks/b.png").unlink()
    with pytest.raises(BadSamplesError) as error:
        read(dataset, tmp_path)
    assert "a.png: has no mask: if a_mask is its mask, set mask_suffix: _mask" in str(error.value)
    assert "b.png: has no mask; if images without a mask are clean, set missing_mask: clean" in str(error.value)
    found = read(dataset.model_copy(update={"mask_suffix": "_mask", "missing_mask": "clean"}), tmp_path)
    assert defective(found) == ["a.png"]
    assert len(found.manifest.frame) == 2

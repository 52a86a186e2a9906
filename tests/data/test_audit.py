"""The audit finds what is planted, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from manifest_rows import SIZE, box, image, manifest
from scipy import ndimage

from defectbench.data.audit import FINDINGS, OF_AREAS, audit, only_areas, picture_clusters, speck_limit


def found(*rows: dict) -> list[tuple[str, str, str]]:
    return list(audit(manifest(*rows)).findings.itertuples(index=False, name=None))


def test_nothing_is_found_in_good_data():
    assert found(image("a", box(2, 2, 5, 5)), image("b", stain=box(1, 1, 2, 2)), image("c")) == []


# masks -----------------------------------------------------------------------------------------------------------


def test_specks_are_counted_by_image_and_class():
    dent = box(0, 0, 1, 3) + box(10, 10, 2, 2) + box(19, 29, 1, 1)  # of 3, 4 and 1 pixels
    assert found(image("b", dent, box(5, 5, 1, 2)), image("a", box(0, 0, 1, 4))) == [
        ("b", "tiny specks", "dent: 2 of 3 regions below 4 pixels, the smallest of 1"),
        ("b", "tiny specks", "stain: 1 of 1 regions below 4 pixels, the smallest of 2"),
    ]


@pytest.mark.parametrize(("size", "limit"), [((20, 30), 4), ((200, 400), 4), ((256, 1600), 20), ((3000, 4000), 600)])
def test_speck_limit_grows_with_the_image(size, limit):
    assert speck_limit(*size) == limit
    large, small = box(5, 5, 1, limit, size), box(5, 5, 1, limit - 1, size)
    assert found(image("a", large, size=size)) == []
    assert [finding[1] for finding in found(image("a", small, size=size))] == ["tiny specks"]


@given(mask=arrays.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1)))
@settings(max_examples=60)
def test_regions_are_those_of_scipy(mask):
    regions = audit(manifest(image("a", stain=mask, dent=np.zeros_like(mask), size=mask.shape))).regions
    labels, n = ndimage.label(mask, structure=np.ones((3, 3)))
    assert sorted(regions["area"]) == sorted(ndimage.sum_labels(mask, labels, range(1, n + 1)))
    boxes = [labels[place].size for place in ndimage.find_objects(labels)]
    assert sorted(regions["box_area"]) == sorted(boxes)
    assert set(regions["class"]) <= {1}


def test_full_mask_starts_at_99_percent():
    nearly, below = np.ones(SIZE, np.uint8), np.ones(SIZE, np.uint8)
    nearly.flat[:6] = 0  # of 600
    below.flat[:7] = 0
    assert found(image("a", nearly), image("b", below), image("c", stain=np.ones(SIZE, np.uint8))) == [
        ("a", "full mask", "dent covers 99.00% of the image"),
        ("c", "full mask", "stain covers 100.00% of the image"),
    ]


def test_overlap_of_classes_is_counted_in_pixels():
    dent, stain = box(0, 0, 10, 10), box(8, 7, 10, 10)
    assert found(image("a", dent, stain), image("b", dent, box(0, 10, 10, 10))) == [
        ("a", "overlapping classes", f"{int((dent & stain).sum())} pixels belong to several of dent, stain")
    ]


# pictures --------------------------------------------------------------------------------------------------------


def test_copies_near_duplicates_and_their_labels():
    mask = box(2, 2, 5, 5)
    rows = [
        image("a", mask),
        image("b", mask, group="a", sha256="hash of a"),
        image("c", mask, group="a"),
        image("d", mask, group="a", sha256="hash of c"),
        image("e", mask),
        image("f", box(2, 2, 5, 6), group="e", sha256="hash of e"),
    ]
    assert found(*rows[::-1]) == [
        ("b", "exact copy", "the same file as a"),
        ("d", "exact copy", "the same file as c"),
        ("f", "exact copy", "the same file as e"),
        ("c", "near-duplicate", "the same picture as a"),
        ("f", "different labels", "the same picture as e, labelled differently"),
    ]
    clusters = picture_clusters(manifest(*rows, image("g")).frame)
    assert clusters.to_dict("index") == {"a": {"images": 4, "near": True}, "e": {"images": 2, "near": False}}


# files -----------------------------------------------------------------------------------------------------------


def test_pixel_formats_and_rotation():
    kinds = ["RGB 8-bit", "RGB 8-bit with alpha", "palette", "grey 8-bit, rotated by EXIF", "palette, rotated by EXIF"]
    rows = [image(str(number), stored_as=kind) for number, kind in enumerate([*kinds, None])]
    assert found(*rows) == [
        ("1", "unusual pixel format", "stored as RGB 8-bit with alpha"),
        ("2", "unusual pixel format", "stored as palette"),
        ("4", "unusual pixel format", "stored as palette, rotated by EXIF"),
        ("3", "rotated by EXIF", "stored as grey 8-bit, rotated by EXIF"),
        ("4", "rotated by EXIF", "stored as palette, rotated by EXIF"),
    ]


def test_the_one_that_is_not_of_the_common_size_is_odd():
    rows = [image(f"{number:02}") for number in range(19)]
    turned = image("19", size=SIZE[::-1])
    assert found(*rows, turned) == [
        ("19", "odd size", "30 x 20, height x width; 95.0% of the images are 20 x 30"),
    ]


def test_without_a_common_size_only_outliers_are_odd():
    sizes = [(height, 30) for height in range(16, 25)]
    rows = [image(f"{number}", size=size) for number, size in enumerate([*sizes, (41, 30), (42, 30), (20, 14)])]
    assert [(image_id, kind) for image_id, kind, _ in found(*rows)] == [("10", "odd size"), ("11", "odd size")]
    assert "the median height is 20.5, the median width 30" in found(*rows)[0][2]


# tables of areas -------------------------------------------------------------------------------------------------


def test_of_areas_alone_full_masks_and_sizes_are_told():
    unknown = dict.fromkeys(("stored_as", "sha256", "phash", "rle"))
    rows = [image(name, **unknown) for name in "abc"]
    rows[1] |= {"area": [600, 0]}
    assert only_areas(manifest(*rows))
    assert not only_areas(manifest(image("a")))
    assert found(*rows) == [("b", "full mask", "dent covers 100.00% of the image")]
    assert audit(manifest(*rows)).regions.empty
    assert set(OF_AREAS) <= set(FINDINGS)

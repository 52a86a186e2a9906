"""Near-duplicates: found wherever they are planted, and only there."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defectbench.config.ingest import MaskFolder
from defectbench.config.split import SplitSettings
from defectbench.data import duplicates
from defectbench.data.duplicates import find_label_conflicts, find_same_pictures, fingerprint, label_components
from defectbench.data.ingest import ingest
from defectbench.data.splits import make_split

HEIGHT, WIDTH = 96, 160


def texture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A cloudy picture with grain, (H, W, 3) uint8, unlike that of any other seed."""
    random = np.random.default_rng(seed)
    clouds = cv2.GaussianBlur(random.standard_normal((height, width)), (0, 0), 8)
    grey = 128 + 30 * clouds / clouds.std() + 10 * random.standard_normal((height, width))
    return np.dstack([np.clip(grey, 0, 255).astype(np.uint8)] * 3)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def pairs_of(images: list[np.ndarray]) -> list[tuple[int, int]]:
    phash, detail = zip(*map(fingerprint, images), strict=True)
    return sorted(map(tuple, find_same_pictures(np.array(phash, np.uint64), np.stack(detail)).tolist()))


# fingerprints ----------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), height=st.integers(64, 200), width=st.integers(64, 200))
@settings(max_examples=30)
def test_hashes_and_pictures_are_turned_alike(seed, height, width):
    image = texture(seed, height, width)
    hashes = duplicates.turn_hashes(np.array([fingerprint(image)[0]], np.uint64))[:, 0]
    by_hand = [image, image[:, ::-1], image[::-1], np.rot90(image, 2)]
    by_hand += [image.swapaxes(0, 1), np.rot90(image), np.rot90(image, -1), np.rot90(image.swapaxes(0, 1), 2)]
    seen = set()
    for orientation, phash in enumerate(hashes):
        turned = duplicates.turn_pictures(image.transpose(2, 0, 1), orientation).transpose(1, 2, 0)
        seen |= {number for number, expected in enumerate(by_hand) if np.array_equal(turned, expected)}
        assert np.bitwise_count(phash ^ np.uint64(fingerprint(turned.copy())[0])) <= 2  # coefficients near zero
    assert seen == set(range(8))


def moved(image: np.ndarray, degrees: float, shift: float) -> np.ndarray:
    """Turned around the middle, and shifted to the right by a share of the width."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    matrix[0, 2] += shift * width
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


COPIES = {
    "the same": lambda image: image,
    "JPEG 80": lambda image: jpeg(image, 80),
    "mirrored": lambda image: image[:, ::-1],
    "upside down": lambda image: image[::-1],
    "turned, JPEG 80": lambda image: jpeg(image[::-1, ::-1], 80),
    "half the size": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "darker": lambda image: image // 2,
    "a quarter turn": np.rot90,
    "a quarter turn back, JPEG 80": lambda image: jpeg(np.rot90(image, -1), 80),
    "transposed": lambda image: image.swapaxes(0, 1),
    "a quarter turn, stretched": lambda image: cv2.resize(np.rot90(image).copy(), (WIDTH, HEIGHT)),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_changed_copy_is_found_among_others(change):
    images = [texture(seed) for seed in range(40)]
    copies = [np.ascontiguousarray(change(image)) for image in images[:20]]
    assert pairs_of(images + copies) == [(index, 40 + index) for index in range(20)]


MOVED = {
    "shifted by 2 %": lambda image: moved(image, 0, 0.02),
    "turned by 1 degree": lambda image: moved(image, 1, 0),
    "97 % of each side": lambda image: image[4:-5, 6:-6],
    "a quarter turn, then shifted by 2 %": lambda image: moved(np.rot90(image).copy(), 0, 0.02),
}


@pytest.mark.parametrize("change", MOVED.values(), ids=MOVED)
def test_most_copies_moved_a_little_are_found_and_nothing_else(change):
    images = [texture(seed, 300, 400) for seed in range(40)]
    copies = [np.ascontiguousarray(change(image)) for image in images[:20]]
    found = set(pairs_of(images + copies))
    assert found <= {(index, 40 + index) for index in range(20)}
    assert len(found) >= 14


@pytest.mark.parametrize("border", [0, 100])
def test_other_grain_on_the_same_ground_is_another_picture(border):
    ground = cv2.GaussianBlur(np.random.default_rng(99).standard_normal((300, 400)), (0, 0), 25)
    ground = 128 + 40 * ground / ground.std()
    images = [ground + 60 * np.random.default_rng(seed).standard_normal(ground.shape) for seed in range(20)]
    for image in images:
        image[:, :border] = 0
    images = [np.clip(image, 0, 255).astype(np.uint8) for image in images]
    phash = np.array([fingerprint(image)[0] for image in images], np.uint64)
    alike = np.bitwise_count(phash[:, None] ^ phash) <= duplicates.MAX_DISTANCE
    assert np.triu(alike, 1).sum() > 100  # the hash alone would join them
    assert pairs_of(images) == []


def test_blocks_make_no_difference(monkeypatch):
    images = [texture(seed % 23) for seed in range(60)]
    at_once = pairs_of(images)
    assert len(at_once) == 51  # 14 pictures three times, 9 twice
    monkeypatch.setattr(duplicates, "_COMPARISONS", 500)
    assert pairs_of(images) == at_once


def test_flat_images_are_not_alike():
    images = [np.full((HEIGHT, WIDTH, 3), value, np.uint8) for value in (0, 0, 7, 255)]
    assert pairs_of(images) == []


def test_a_common_border_makes_no_duplicates():
    images = [texture(seed) for seed in range(20)]
    for image in images:
        image[:, : WIDTH // 2] = 0
    assert pairs_of(images) == []


@given(
    n=st.integers(1, 30),
    edges=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=30),
)
def test_components_join_what_edges_join(n, edges):
    edges = np.array([(a % n, b % n) for a, b in edges], dtype=np.int64).reshape(-1, 2)
    expected = np.arange(n)
    for _ in range(n):
        for a, b in edges:
            expected[[a, b]] = expected[[a, b]].min()
    found = label_components(n, edges)
    np.testing.assert_array_equal(found[:, None] == found, expected[:, None] == expected)


def test_copies_among_twelve_thousand_images_are_found():
    random = np.random.default_rng(0)
    phash = random.integers(0, 2**64, 12_568, dtype=np.uint64)
    detail = random.integers(-127, 128, (12_568, 64, 64), dtype=np.int8)
    phash[12_000:12_500], detail[12_000:12_500] = phash[:500], detail[:500]
    assert len(find_same_pictures(phash, detail)) == 500


# ingest ----------------------------------------------------------------------------------------------------------


def write_dataset(root: Path, pictures: dict[str, tuple[np.ndarray, np.ndarray]]) -> MaskFolder:
    """Write images and masks by stem, as PNG."""
    for folder, part in (("images", 0), ("masks", 1)):
        (root / folder).mkdir(exist_ok=True)
        for stem, picture in pictures.items():
            cv2.imwrite(str(root / folder / f"{stem}.png"), picture[part])
    return MaskFolder(name="parts", format="mask_folder", root=root, classes={1: "dent", 2: "stain"})


def test_groups_and_labels(tmp_path):
    image, mask = texture(0), np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:20, 30:60] = 1
    other = (texture(1), mask)
    black = (np.zeros_like(image), mask)
    dataset = write_dataset(
        tmp_path,
        {
            "a": (image, mask),
            "b": (jpeg(image, 80), mask),
            "c_mirrored": (image[:, ::-1], mask[:, ::-1]),
            "d_mirrored_not_its_mask": (image[:, ::-1], mask),
            "e": other,
            "f_copy_of_e": other,
            "g": (texture(2), mask),
            "h_half_of_g": (cv2.resize(texture(2), (WIDTH // 2, HEIGHT // 2)), np.zeros((HEIGHT // 2, WIDTH // 2))),
            "i_black": black,
            "j_black": black,
            "k_nearly_black": (np.ones_like(image), mask),
        },
    )
    manifest, *_ = ingest(dataset, tmp_path / "found.csv")
    assert manifest.frame["phash"].notna().all()
    assert "".join(manifest.frame["group"].str[0]) == "aaaaeeggiik"
    assert find_label_conflicts(manifest) == [("a.png", "d_mirrored_not_its_mask.png"), ("g.png", "h_half_of_g.png")]


# real data -------------------------------------------------------------------------------------------------------

PHOTO = r"CRACK500_\d+_\d+"


def link(source: Path, folder: Path, name: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).symlink_to(source)


def test_crack500_planted_leaks(tmp_path, real_data):
    """Sixty leaks among 523 photographs of pavement: all found, and no parent photo merged with another."""
    source = real_data / "crack500_part"
    names = sorted(path.name for path in (source / "images").iterdir())
    for name in names:
        link(source / "images" / name, tmp_path / "images", name)
        link(source / "masks" / name, tmp_path / "masks", name)
    originals = {}
    for index, name in enumerate(names[:: len(names) // 60][:60]):
        kind = ("copy", "jpeg", "flip")[index % 3]
        # Under the name of a photo that is not there, so that the pattern alone would not catch it.
        planted = f"CRACK500_20990101_{index:06d}_{kind}.jpg"
        originals[planted] = name
        image, mask = (cv2.imread(str(source / part / name)) for part in ("images", "masks"))
        if kind == "copy":
            link(source / "images" / name, tmp_path / "images", planted)
        else:
            image = image[:, ::-1] if kind == "flip" else image
            cv2.imwrite(
                str(tmp_path / "images" / planted), image, [cv2.IMWRITE_JPEG_QUALITY, 80 + 15 * (kind == "flip")]
            )
        mask = mask[:, ::-1] if kind == "flip" else mask
        cv2.imwrite(str(tmp_path / "masks" / planted.replace(".jpg", ".png")), np.where(mask > 127, 255, 0))
    dataset = MaskFolder(name="crack", format="mask_folder", root=tmp_path, classes={1: "crack"}, mask_kind="binary")
    manifest, *_ = ingest(dataset, tmp_path / "found.csv")
    frame = manifest.frame.set_index("image_id")
    for planted, original in originals.items():
        assert frame.loc[planted, "group"] == frame.loc[original, "group"], planted
    assert find_label_conflicts(manifest) == []

    parent = pd.Series(names, index=names).str.extract(f"({PHOTO})")[0]
    parents_of_group = parent.groupby(frame.loc[names, "group"]).nunique()
    assert parents_of_group.max() == 1

    split = make_split(manifest.frame, SplitSettings(group_by=PHOTO)).set_index("image_id")
    assert split.loc[names].groupby(parent)["role"].nunique().max() == 1
    assert all(split.loc[planted, "role"] == split.loc[original, "role"] for planted, original in originals.items())


def test_neu_seg_pictures_with_different_masks(tmp_path, real_data):
    source = real_data / "neu_seg"
    for stem in ("000001", "001281", "001285", "002151", "002155", "003021", "003025"):
        link(source / "images" / f"{stem}.jpg", tmp_path / "images", f"{stem}.jpg")
        link(source / "masks" / f"{stem}.png", tmp_path / "masks", f"{stem}.png")
    classes = {1: "inclusion", 2: "patches", 3: "scratches"}
    dataset = MaskFolder(name="neu", format="mask_folder", root=tmp_path, classes=classes)
    manifest, *_ = ingest(dataset, tmp_path / "found.csv")
    # 003021 is 001281 turned by 180 degrees and 002151 by a quarter; 001285 is turned to 003025 and 002155.
    assert manifest.frame["group"].str[:6].tolist() == ["000001", *["001281"] * 6]
    # The masks are turned with the pictures: there are two of them.
    conflicts = {("001281.jpg", "001285.jpg"), ("001281.jpg", "002155.jpg"), ("001281.jpg", "003025.jpg")}
    assert set(find_label_conflicts(manifest)) == conflicts

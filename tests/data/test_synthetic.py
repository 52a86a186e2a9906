"""The embedded data: reproducible, labelled where the defects are, and distributed as the real labels are."""

import csv
import importlib.util
import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import synthesize
import yaml

from defectbench.data.synthetic import image_names, load_prior, steel_strip, write_steel

ROOT = Path(__file__).resolve().parents[2]
PRIOR_FILE = ROOT / "resources" / "severstal_prior.yaml"
PRIOR = load_prior(PRIOR_FILE)
SMALL = (32, 192)

# Counted in the table of the 12,568 real training images, not taken from the fitted prior.
REAL_CLEAN = 0.4696
REAL_CLASS_SHARE = {1: 0.0714, 2: 0.0197, 3: 0.4098, 4: 0.0637}
REAL_AREA_QUARTILES = {
    1: (0.0043, 0.0081, 0.0141),
    2: (0.0048, 0.0072, 0.0106),
    3: (0.0123, 0.0292, 0.0709),
    4: (0.0320, 0.0619, 0.1104),
}


@pytest.fixture(scope="module")
def strips() -> list[tuple[np.ndarray, np.ndarray]]:
    """Make 800 small strips."""
    return [steel_strip(PRIOR, seed=5, index=i, size=SMALL) for i in range(800)]


@pytest.fixture(scope="module")
def areas(strips) -> np.ndarray:
    """Share of the image per class: (800, 4)."""
    return np.array([masks.mean(axis=(1, 2)) for _, masks in strips])


def four_errors(share: float, n: int) -> float:
    """Four standard errors of a share counted in `n` images."""
    return 4 * math.sqrt(share * (1 - share) / n)


def decode(runs: str, height: int, width: int) -> np.ndarray:
    """Decode Severstal's runs pixel by pixel: one-based, down the columns first."""
    mask = np.zeros((height, width), dtype=bool)
    numbers = [int(text) for text in runs.split(" ")]
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        for pixel in range(start - 1, start - 1 + length):
            assert not mask[pixel % height, pixel // height]
            mask[pixel % height, pixel // height] = True
    return mask


def fit_module():
    spec = importlib.util.spec_from_file_location("fit_severstal_prior", ROOT / "resources" / "fit_severstal_prior.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_same_seed_and_index_give_the_same_strip_whatever_was_made_before():
    alone = steel_strip(PRIOR, seed=3, index=7, size=SMALL)
    in_a_row = [steel_strip(PRIOR, seed=3, index=i, size=SMALL) for i in range(8)]
    for one, other in zip(alone, in_a_row[7], strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_seed_or_index_gives_another_strip():
    images = [steel_strip(PRIOR, seed=s, index=i, size=SMALL)[0].tobytes() for s in (0, 1, 2) for i in (0, 1, 2)]
    assert len(set(images)) == 9


@pytest.mark.parametrize("size", [(32, 32), (64, 384), (256, 1600)])
def test_image_is_a_grey_picture_of_the_asked_size(size):
    for index in range(5):
        image, masks = steel_strip(PRIOR, seed=0, index=index, size=size)
        assert image.shape == size
        assert image.dtype == np.uint8
        assert masks.shape == (4, *size)
        assert masks.dtype == bool
        assert 4 < image.std() < 90
        assert 20 < np.percentile(image, 95) <= 255


def test_some_strips_end_in_black_and_no_defect_lies_there(strips):
    ends = 0
    for image, masks in strips:
        black = cv2.blur(image, (5, 5)) < 12
        ends += black.mean() > 0.03
        assert (black & masks.any(axis=0)).sum() <= 0.02 * image.size
    assert 0.1 < ends / len(strips) < 0.35


def test_classes_do_not_overlap(strips):
    assert max(masks.sum(axis=0).max() for _, masks in strips) == 1


def test_masks_lie_on_the_defects(strips):
    """The picture is rougher inside the masks than outside, and not inside the same masks moved elsewhere."""

    def roughness_ratio(image: np.ndarray, mask: np.ndarray) -> float:
        steel = cv2.blur(image, (9, 9)) > 20
        detail = np.abs(image - cv2.GaussianBlur(image.astype(np.float32), (0, 0), 4)) / np.maximum(image.mean(), 1)
        return detail[mask & steel].mean() / detail[~mask & steel].mean()

    defective = [(i, m.any(axis=0)) for i, m in strips if 0.005 < m.any(axis=0).mean() < 0.3]
    there = np.median([roughness_ratio(i, m) for i, m in defective])
    moved = [(i, np.roll(m, i.shape[1] // 2, axis=1)) for i, m in defective]
    moved = [(i, m) for i, m in moved if (m & (cv2.blur(i, (9, 9)) > 20)).any()]
    assert there > 1.5
    assert np.median([roughness_ratio(i, m) for i, m in moved]) < 1.1


def test_share_of_clean_images_is_the_real_one(areas):
    clean = (areas.sum(axis=1) == 0).mean()
    assert clean == pytest.approx(REAL_CLEAN, abs=four_errors(REAL_CLEAN, len(areas)))


@pytest.mark.parametrize("class_id", [1, 2, 3, 4])
def test_class_frequency_is_the_real_one(areas, class_id):
    share = (areas[:, class_id - 1] > 0).mean()
    real = REAL_CLASS_SHARE[class_id]
    assert share == pytest.approx(real, abs=four_errors(real, len(areas)))


@pytest.mark.parametrize("class_id", [1, 2, 3, 4])
def test_defects_are_as_large_as_the_real_ones(areas, class_id):
    present = areas[:, class_id - 1][areas[:, class_id - 1] > 0]
    for share, quartile in zip((0.25, 0.5, 0.75), REAL_AREA_QUARTILES[class_id], strict=True):
        # 0.03 more for what a lognormal cannot follow.
        assert (present <= quartile).mean() == pytest.approx(share, abs=four_errors(share, len(present)) + 0.03)


def test_area_does_not_depend_on_the_image_size():
    shares = [
        np.array([steel_strip(PRIOR, seed=1, index=i, size=size)[1].mean(axis=(1, 2)) for i in range(20)])
        for size in ((64, 384), (96, 512))
    ]
    assert (shares[0] > 0).any()
    np.testing.assert_allclose(shares[0], shares[1], atol=1 / (64 * 384))


def test_script_writes_severstals_layout(tmp_path, capsys):
    settings = {"n_images": 30, "height": 32, "width": 192, "seed": 11}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    synthesize.main(
        ["--settings", str(tmp_path / "settings.yaml"), "--prior", str(PRIOR_FILE), "--out-dir", str(tmp_path / "out")]
    )
    assert capsys.readouterr().out.startswith("30 synthetic strips")
    with (tmp_path / "out" / "train.csv").open() as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == ["ImageId", "ClassId", "EncodedPixels"]
        written = {(row["ImageId"], int(row["ClassId"])): row["EncodedPixels"] for row in reader}
    files = sorted(p.name for p in (tmp_path / "out" / "train_images").iterdir())
    assert files == [f"steel_{i:05d}.jpg" for i in range(30)]
    expected = {}
    for index, name in enumerate(files):
        image, masks = steel_strip(PRIOR, seed=11, index=index, size=(32, 192))
        stored = cv2.imread(str(tmp_path / "out" / "train_images" / name), cv2.IMREAD_UNCHANGED)
        assert stored.shape == (32, 192)
        assert np.abs(stored.astype(float) - image).mean() < 4
        expected |= {(name, c): masks[c - 1] for c in (1, 2, 3, 4) if masks[c - 1].any()}
    assert len(expected) > 5
    assert written.keys() == expected.keys()
    for key, mask in expected.items():
        np.testing.assert_array_equal(decode(written[key], 32, 192), mask)


def test_a_smaller_set_leaves_no_image_of_a_larger_one(tmp_path):
    for n in (4, 2):
        assert write_steel(tmp_path, PRIOR, n=n, seed=0, size=SMALL) == n
    assert sorted(p.name for p in (tmp_path / "train_images").iterdir()) == ["steel_00000.jpg", "steel_00001.jpg"]


def test_listing_the_images_loads_no_numeric_library():
    assert image_names(2) == ["steel_00000.jpg", "steel_00001.jpg"]
    code = (
        "import sys; from defectbench.data.synthetic import image_names; image_names(3); print('numpy' in sys.modules)"
    )
    environment = {"PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_fit_finds_the_parameters_of_a_known_table():
    pixels = 256 * 1600
    spread = [0.01 * math.exp(0.5) * pixels, 0.01 * math.exp(-0.5) * pixels]
    table = pd.DataFrame(
        {"area_1": [*spread, 0, 0], "area_2": [0, 40, 0, 0], "area_3": [0, 0, 50, 0], "area_4": [0, 9, 0, 0]}
    )
    fitted = fit_module().fit(table)
    assert fitted["share_clean"] == 0.25
    assert fitted["combinations"] == pytest.approx({"1": 1 / 3, "1+2+4": 1 / 3, "3": 1 / 3}, abs=1e-4)
    assert fitted["area_fraction"][1]["mu"] == pytest.approx(math.log(0.01), abs=1e-3)
    assert fitted["area_fraction"][1]["sigma"] == pytest.approx(0.5, abs=1e-3)


def test_prior_file_is_the_fit_of_the_real_table(real_data, capsys):
    fit_module().main([str(real_data / "severstal_labels" / "class_areas_12568.csv")])
    assert capsys.readouterr().out == PRIOR_FILE.read_text(encoding="utf-8")

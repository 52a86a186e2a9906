"""Studies from folders of masks: names, values, colours and palettes."""

import cv2
import numpy as np
import pytest
from foreign_datasets import COLOURS
from mask_files import with_palette
from matplotlib.colors import to_rgb
from PIL import Image
from small_datasets import write_image
from study_folders import N_CLEAN, N_IMAGES, counts, doubts, make_study, mask, write_mask_folder

from defectbench.data.voc_palette import voc_colour
from defectbench.reporting import overlay


def test_index_masks(tmp_path):
    config = make_study(write_mask_folder(tmp_path / "data", values=(1, 2)))
    assert config["dataset"] == {
        "name": "mine",
        "format": "mask_folder",
        "root": "data",
        "images_dir": "images",
        "masks_dir": "masks",
        "mask_kind": "index",
        "classes": {1: "class_1", 2: "class_2"},
    }
    assert counts(config) == (N_IMAGES, {"class_1": 8, "class_2": 8})
    assert "DOUBT: the data do not name their classes" in doubts()


def test_contact_sheet(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    make_study(write_mask_folder(tmp_path / "data", values=(1, 2)))
    sheet = np.asarray(Image.open("results/mine/contact_sheet.png").convert("RGB")).reshape(-1, 3)
    for colour in overlay.CLASS_COLOURS[:2]:
        assert (sheet == np.rint(255 * np.array(to_rgb(colour)))).all(axis=1).sum() > 100


@pytest.mark.parametrize(
    ("images", "masks", "suffix", "value"),
    [("images", "masks", "", 255), ("a/img", "a/gt", "", 1), ("photos", "labels", "_mask", 255)],
)
def test_binary_masks_by_whatever_name(tmp_path, images, masks, suffix, value):
    config = make_study(write_mask_folder(tmp_path / "data", images, masks, suffix, (value,)))
    found = config["dataset"]
    assert (found["images_dir"], found["masks_dir"], found["mask_kind"]) == (images, masks, "binary")
    assert found.get("mask_suffix", "") == suffix
    assert counts(config) == (N_IMAGES, {"defect": N_IMAGES - N_CLEAN})


def test_masks_beside_the_images_of_each_role(tmp_path):
    root = tmp_path / "data"
    for number in range(N_IMAGES):
        place = root / ("train" if number % 5 < 3 else "valid" if number % 5 == 3 else "test")
        write_image(place / "images" / f"{number:02}.png", seed=number)
        (place / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(place / "masks" / f"{number:02}.png"), mask(number, 255))
    config = make_study(root)
    found = config["dataset"]
    assert (found["images_dir"], found["image_folders"], found["masks_dir"]) == (".", "images", "masks")
    assert config["split"] == {"from_folders": True}
    assert counts(config) == (N_IMAGES, {"defect": N_IMAGES - N_CLEAN})


def test_masks_among_the_images(tmp_path):
    root = tmp_path / "data"
    for number in range(N_IMAGES):
        place = root / ("train" if number % 5 < 3 else "valid" if number % 5 == 3 else "test")
        write_image(place / f"part {number}.jpg", seed=number)
        cv2.imwrite(str(place / f"part {number}_mask.png"), mask(number, 255))
    config = make_study(root)
    found = config["dataset"]
    assert (found["images_dir"], found["masks_dir"], found["mask_suffix"]) == (".", ".", "_mask")
    assert config["split"] == {"from_folders": True}
    assert counts(config) == (N_IMAGES, {"defect": N_IMAGES - N_CLEAN})


def test_masks_as_jpeg_and_with_soft_edges(tmp_path):
    root = write_mask_folder(tmp_path / "jpeg", values=(255,))
    for path in (root / "masks").iterdir():
        cv2.imwrite(str(path.with_suffix(".jpg")), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        path.unlink()
    assert counts(make_study(root)) == (N_IMAGES, {"defect": N_IMAGES - N_CLEAN})
    soft = write_mask_folder(tmp_path / "soft")
    for number in range(N_IMAGES):
        # 0 ... 255 in steps that differ from mask to mask
        edge = cv2.GaussianBlur(mask(number, 255), (5, 5), 0.5 + number / 20)
        cv2.imwrite(str(soft / "masks" / f"{number:02}.png"), edge)
    config = make_study(soft, "--force")
    assert config["dataset"]["threshold"] == 127
    assert "soft edges" in doubts()


def test_colour_masks(tmp_path):
    root = write_mask_folder(tmp_path / "data")
    for number, colour in enumerate([COLOURS["dent"], COLOURS["stain"]] * (N_IMAGES // 2)):
        rgb = mask(number)[..., None] * np.array(colour, np.uint8)
        Image.fromarray(rgb).save(root / "masks" / f"{number:02}.png")
    config = make_study(root)
    assert config["dataset"]["colours"] == {"class_1": COLOURS["stain"], "class_2": COLOURS["dent"]}
    assert counts(config) == (N_IMAGES, {"class_1": 8, "class_2": 8})
    assert "each colour but black is read as a class" in doubts()


def test_a_palette_is_no_colour(tmp_path):
    root = write_mask_folder(tmp_path / "data")
    for number in range(N_IMAGES):
        image = Image.fromarray(mask(number, 2)).convert("P")
        image.putdata(mask(number, 2).ravel().tolist())
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        image.save(root / "masks" / f"{number:02}.png")
    config = make_study(root)
    assert config["dataset"]["mask_kind"] == "index"
    assert counts(config) == (N_IMAGES, {"class_2": N_IMAGES - N_CLEAN})


def test_value_255_among_numbers_is_proposed_as_ignored(tmp_path):
    root = write_mask_folder(tmp_path / "data")
    for number in range(5):
        drawn = mask(number)
        drawn[15:, 30:] = 255
        cv2.imwrite(str(root / "masks" / f"{number:02}.png"), drawn)
    config = make_study(root)
    assert config["dataset"]["ignore"] == 255
    assert counts(config) == (N_IMAGES, {"class_1": N_IMAGES - N_CLEAN})
    assert "5 masks have the value 255, which usually says that nobody decided: in no loss and no metric" in doubts()
    assert "ignore: null, and 255 among classes" in doubts()


def test_value_255_among_grey_levels_is_a_class(tmp_path):
    root = write_mask_folder(tmp_path / "data", values=(100, 200))
    drawn = mask(0, 100)
    drawn[15:, 30:] = 255
    cv2.imwrite(str(root / "masks" / "00.png"), drawn)
    config = make_study(root)
    assert set(config["dataset"]["classes"]) == {100, 200, 255}
    assert "1 masks have the value 255, here a class; it may also mean 'to be ignored'" in doubts()
    assert "ignore: 255, and 255 taken out of classes" in doubts()


def test_the_void_borders_of_pascal_voc_are_ignored(tmp_path):
    for number in range(N_IMAGES):
        write_image(tmp_path / "data" / "JPEGImages" / f"{number:02}.png", seed=number)
        (tmp_path / "data" / "SegmentationClass").mkdir(exist_ok=True)
        drawn = mask(number)
        drawn[:, :1] = 255
        coloured = with_palette(drawn, *(voc_colour(value) for value in range(256))).convert("RGB")
        coloured.save(tmp_path / "data" / "SegmentationClass" / f"{number:02}.png")
    config = make_study(tmp_path / "data")
    assert (config["dataset"]["format"], config["dataset"]["ignore"]) == ("pascal_voc", 255)
    assert "20 masks have the value 255" in doubts()


def test_the_void_of_ultralytics_is_ignored_by_its_mapping_too(tmp_path):
    root = write_mask_folder(tmp_path / "data", masks="masks")
    (root / "data.yaml").write_text("names: {0: background, 1: dent}\nlabel_mapping: {9: ignore_label}\n")
    drawn = mask(0)
    drawn[15:, 30:] = 9
    cv2.imwrite(str(root / "masks" / "00.png"), drawn)
    config = make_study(root)
    assert (config["dataset"]["format"], config["dataset"]["ignore"]) == ("yolo_semantic", 255)
    assert counts(config) == (N_IMAGES, {"dent": N_IMAGES - N_CLEAN})


def test_defects_drawn_in_different_values(tmp_path):
    config = make_study(write_mask_folder(tmp_path / "data", values=(1, 255)))
    assert counts(config) == (N_IMAGES, {"defect": N_IMAGES - N_CLEAN})
    assert "the defect is drawn as 1 in 8, 255 in 8 masks" in doubts()

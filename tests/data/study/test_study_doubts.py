"""Studies from folders: what is doubtful is told, and nothing is guessed or replaced in silence."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import study
import yaml
from foreign_datasets import line
from PIL import Image
from small_datasets import HEIGHT, WIDTH, write_image
from study_folders import N_IMAGES, SQUARE, doubts, make_study, mask, write_coco_file, write_mask_folder, write_yolo_set

from defectbench.data.discovery.folder import Doubt
from defectbench.printable import printable
from defectbench.reporting.study_file import report_lines, study_text


def test_two_ways_to_read_are_not_chosen_between(tmp_path, capsys):
    root = write_mask_folder(tmp_path / "data")
    shutil.copytree(root / "masks", root / "masks_fine")
    write_coco_file(root / "coco.json", range(N_IMAGES))
    with pytest.raises(SystemExit):
        make_study(root)
    message = capsys.readouterr().err
    assert "can be read in 3 ways" in message
    for key in ("mask_folder:masks", "mask_folder:masks_fine", "coco:coco.json"):
        assert f"FORMAT={key}\n" in message
    assert "20 images read, 16 of them defective" in message
    assert not Path("config/mine.yaml").exists()
    assert make_study(root, "--format", "coco")["dataset"]["format"] == "coco"
    assert make_study(root, "--force", "--format", "mask_folder:masks")["dataset"]["masks_dir"] == "masks"


def test_images_without_labels(tmp_path, capsys):
    write_image(tmp_path / "data" / "a.png")
    with pytest.raises(SystemExit):
        make_study(tmp_path / "data")
    assert "no labels found among 1 images and 0 other files" in capsys.readouterr().err


def test_labels_that_find_no_image_stop(tmp_path, capsys):
    root = write_yolo_set(tmp_path / "data")
    (root / "labels" / "elsewhere.txt").write_text(line(0, *SQUARE))
    with pytest.raises(SystemExit):
        make_study(root)
    assert "labels/elsewhere.txt: label file has no image" in capsys.readouterr().err


def test_samples_that_cannot_be_used_are_told(tmp_path):
    root = write_mask_folder(tmp_path / "data")
    (root / "masks" / "03.png").write_bytes(b"nothing")
    (root / "images" / "05.png").write_bytes(b"nothing")
    config = make_study(root)
    assert "on_bad_sample" not in config["dataset"]
    assert "masks/03.png: mask cannot be read" in doubts()
    assert "images/05.png: image cannot be read" in doubts()
    assert "on_bad_sample: quarantine" in doubts()


def test_images_without_a_mask_are_not_clean_in_silence(tmp_path):
    root = write_mask_folder(tmp_path / "data")
    (root / "masks" / "19.png").unlink()
    config = make_study(root)
    assert config["dataset"]["missing_mask"] == "leave_out"
    assert "1 image without a mask: left out, since nothing says that they are clean" in doubts()


def test_orientation_that_labels_do_not_tell(tmp_path):
    root = write_yolo_set(tmp_path / "data")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (WIDTH, HEIGHT), 90).save(root / "images" / "20.jpg", exif=exif)
    (root / "labels" / "20.txt").write_text("")
    make_study(root)
    assert "turned by its EXIF data" in doubts()
    assert "exif: upright" in doubts()


def test_names_of_parts(tmp_path):
    root = tmp_path / "data"
    for number in range(N_IMAGES):
        name = f"coil{number // 3}_{number % 3}.png"
        write_image(root / "images" / name, seed=number)
        (root / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(root / "masks" / name), mask(number))
    config = make_study(root)
    assert "group_by" not in config["split"]
    assert "parts of 7 pictures or objects (3 of coil0)" in doubts()


def test_swapped_defect_and_background(tmp_path):
    root = write_mask_folder(tmp_path / "data")
    for number in range(N_IMAGES):
        cv2.imwrite(str(root / "masks" / f"{number:02}.png"), 255 - mask(number, 255))
    make_study(root)
    assert "are defect and background swapped?" in doubts()


def test_an_existing_study_is_kept(tmp_path, capsys):
    root = write_mask_folder(tmp_path / "data")
    make_study(root)
    Path("config/mine.yaml").write_text("edited")
    with pytest.raises(SystemExit):
        study.main(["--data", str(root), "--name", "mine"])
    assert "config/mine.yaml exists: give another NAME, or FORCE=1" in capsys.readouterr().err
    assert Path("config/mine.yaml").read_text() == "edited"
    assert make_study(root, "--force")["study"] == "mine"


@pytest.mark.parametrize("name", ["my data", "../x", ""])
def test_names_that_are_none(tmp_path, capsys, name):
    with pytest.raises(SystemExit):
        study.main(["--data", str(tmp_path), "--name", name])
    assert "is not a name" in capsys.readouterr().err


def test_the_terminal_says_what_the_file_says(tmp_path, capsys):
    make_study(write_mask_folder(tmp_path / "data", values=(1, 2)))
    printed = capsys.readouterr().out
    assert "20 images: 16 defective, 4 clean; 24 × 40 pixels" in printed
    assert "class_1 8, class_2 8" in printed
    assert "? the data do not name their classes" in printed
    n_doubts = Path("config/mine.yaml").read_text(encoding="utf-8").count("# DOUBT: ")
    assert n_doubts > 1
    assert f"{n_doubts} doubts; each is a comment in config/mine.yaml" in printed


@pytest.mark.parametrize("end_of_line", ["\n", "\r", "\x85", "\u2028", "\u2029"])
def test_no_text_out_of_data_leaves_its_comment(tmp_path, monkeypatch, end_of_line):
    written = []
    monkeypatch.setattr(study, "study_text", lambda new: written.append(new) or study_text(new))
    config = make_study(write_yolo_set(tmp_path / "data"))
    doubt = Doubt(f"class x{end_of_line}experiments: []{end_of_line}\x1b[2J", f"key: x{end_of_line}experiments: []")
    new = replace(written[0], roles=replace(written[0].roles, doubts=(doubt,)))
    text = study_text(new)
    assert "class x" in text
    assert "\x1b" not in text
    assert yaml.safe_load(text) == config
    assert "\x1b" not in "".join(map(printable, report_lines(new)))

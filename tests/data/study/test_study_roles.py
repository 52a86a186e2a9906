"""Studies from folders with roles: by folders, tables, lists and names of files."""

import shutil
from pathlib import Path

from small_datasets import write_image
from study_folders import (
    N_CLEAN,
    N_IMAGES,
    counts,
    doubts,
    make_study,
    write_coco_file,
    write_mask_folder,
    write_yolo_set,
)


def test_roles_by_folders(tmp_path):
    for place, n in (("train/images", 14), ("valid/images", 6), ("test/images", 8)):
        write_yolo_set(tmp_path / "data", place, n)
    config = make_study(tmp_path / "data")
    assert config["dataset"]["images_dir"] == "."
    assert config["split"] == {"from_folders": True}
    assert counts(config) == (28, {"stain": 16})


def test_an_unlabelled_role_is_told(tmp_path):
    write_yolo_set(tmp_path / "data", "train/images", 14)
    write_yolo_set(tmp_path / "data", "valid/images", 6)
    for number in range(5):
        write_image(tmp_path / "data" / "test" / "images" / f"{number}.png", seed=100 + number)
    make_study(tmp_path / "data")
    assert "5 images not used: 5 in test/images" in doubts() or "no image of its folder has a label" in doubts()


def test_roles_without_a_test_set(tmp_path):
    for place, n in (("train/images", 14), ("val/images", 6)):
        write_yolo_set(tmp_path / "data", place, n)
    config = make_study(tmp_path / "data")
    assert config["split"]["from_names"]["roles"] == {"train": "train", "val": "test"}
    assert "there is no test role" in doubts()


def test_roles_by_a_table(tmp_path):
    root = write_mask_folder(tmp_path / "data")
    roles = ["Train"] * 10 + ["test"] * 4 + ["Train"] * 3 + ["test"] * 3
    rows = [f"{number:02}.png;x;{role}" for number, role in enumerate(roles)]
    (root / "parts.csv").write_text("\n".join(["file;lot;subset", *rows]))
    split = make_study(root)["split"]
    assert split["file"] == {
        "path": "parts.csv",
        "image_column": "file",
        "role_column": "subset",
        "roles": {"Train": "train", "test": "test"},
    }


def test_roles_by_lists_become_a_table(tmp_path):
    root = write_mask_folder(tmp_path / "data")
    (root / "ImageSets").mkdir()
    for role, numbers in (("train", [*range(11), 16, 17]), ("val", [11, 12, 18]), ("test", [13, 14, 15, 19])):
        (root / "ImageSets" / f"{role}.txt").write_text("".join(f"{number:02}\n" for number in numbers))
    config = make_study(root)
    table = Path(config["split"]["file"]["path"])
    assert table == Path("config/mine_split.csv").resolve()
    assert len(table.read_text().splitlines()) == 1 + N_IMAGES
    assert "11.png,val" in table.read_text()


def test_a_leak_between_given_roles_is_told(tmp_path):
    root = write_mask_folder(tmp_path / "data")
    shutil.copy(root / "images" / "00.png", root / "images" / "12.png")
    rows = [f"{number:02}.png,{'train' if number < 10 else 'test'}" for number in range(N_IMAGES)]
    (root / "split.csv").write_text("\n".join(["image,split", *rows]))
    config = make_study(root)
    assert config["split"]["on_leak"] == "drop_from_train"
    assert "1 image with the same picture as one of a later role" in doubts()


def test_roles_that_cannot_be_kept_are_told(tmp_path):
    """As where the training images are all clean."""
    root = write_mask_folder(tmp_path / "data")
    rows = [f"{number:02}.png,{'train' if number > 15 else 'test'}" for number in range(N_IMAGES)]
    (root / "split.csv").write_text("\n".join(["image,split", *rows]))
    config = make_study(root)
    assert config["split"]["from_folders"] is False
    assert "roles by split.csv are not kept" in doubts()


def test_coco_files_with_roles_in_their_names(tmp_path):
    for number in range(N_IMAGES):
        write_image(tmp_path / "data" / "images" / f"{number:02}.png", seed=number)
    for name, numbers in (("train", range(10)), ("val", range(10, 13)), ("test", range(13, N_IMAGES))):
        write_coco_file(tmp_path / "data" / "annotations" / f"instances_{name}2017.json", numbers)
    config = make_study(tmp_path / "data")
    assert config["dataset"]["annotations"] == "annotations/*.json"
    assert config["split"] == {"from_folders": True}
    assert counts(config) == (N_IMAGES, {"dent": N_IMAGES - N_CLEAN})


def test_coco_files_of_train_and_val_alone(tmp_path):
    for number in range(N_IMAGES):
        write_image(tmp_path / "data" / "images" / f"{number:02}.png", seed=number)
    for name, numbers in (("train", range(10)), ("val", range(10, N_IMAGES))):
        write_coco_file(tmp_path / "data" / "annotations" / f"{name}.json", numbers)
    config = make_study(tmp_path / "data")
    assert config["split"]["file"]["roles"] == {"train": "train", "val": "test"}
    assert "there is no test role" in doubts()


def test_roles_that_a_file_of_class_names_contradicts_are_a_doubt(tmp_path):
    root = write_yolo_set(tmp_path / "data")
    with (root / "data.yaml").open("a") as file:
        file.write("val: gone.txt\n")
    assert make_study(root)["split"]["from_folders"] is False
    assert "the list gone.txt cannot be read" in doubts()

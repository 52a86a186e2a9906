"""A study from a folder: each format, layout and kind of role is recognised, and nothing is guessed in silence."""

import json
import shutil
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import study
import yaml
from foreign_datasets import COLOURS, annotation, bitmap, line, write_supervisely, write_yolo
from jsonschema import Draft202012Validator
from matplotlib.colors import to_rgb
from PIL import Image
from small_datasets import HEIGHT, WIDTH, write_image
from written_by_tools import TOOL_VARIANTS
from written_differently import SHAPES, VARIANTS, Variant, truth

from defectbench.config.ingest import FORMATS
from defectbench.config.proposal import SIZES, Hardware, propose_experiments
from defectbench.config.study import load_study
from defectbench.data.discovery import LOOKS_LIKE
from defectbench.data.discovery.folder import Folder
from defectbench.data.ingest import ingest
from defectbench.reporting import overlay

ROOT = Path(__file__).resolve().parents[2]
N_IMAGES = 20
N_CLEAN = 4
SQUARE = ((2, 3), (12, 3), (12, 13), (2, 13))


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Contact sheets, which take most of the time, are drawn by one test alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, "contact_sheet", lambda *_: None)
    monkeypatch.setattr(study, "save", lambda *_: None)


def mask(number: int, value: int = 1, dtype: type = np.uint8) -> np.ndarray:
    """A rectangle of ``value`` that differs for each number; the last N_CLEAN are empty."""
    drawn = np.zeros((HEIGHT, WIDTH), dtype)
    if number < N_IMAGES - N_CLEAN:
        drawn[2 : 8 + number // 2, 3 : 10 + number] = value
    return drawn


def write_mask_folder(root: Path, images: str = "images", masks: str = "masks", suffix: str = "", values=(1,)) -> Path:
    """Images and index masks whose values take turns."""
    for number in range(N_IMAGES):
        write_image(root / images / f"{number:02}.png", seed=number)
        (root / masks).mkdir(parents=True, exist_ok=True)
        value = values[number % len(values)]
        cv2.imwrite(str(root / masks / f"{number:02}{suffix}.png"), mask(number, value))
    return root


def write_coco_file(path: Path, numbers: range, first: int = 0) -> None:
    """A COCO file of the images ``numbers``, a square in each that is not clean."""
    images = [{"id": n, "file_name": f"{n:02}.png", "height": HEIGHT, "width": WIDTH} for n in numbers]
    shape = [[number for point in SQUARE for number in point]]
    annotations = [annotation(n, shape, image=n) for n in numbers if n < N_IMAGES - N_CLEAN]
    categories = [{"id": 3, "name": "unused"}, {"id": 7, "name": "dent"}]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def make_study(data: Path, *options: str) -> dict:
    """The study that is written for the folder, checked as Snakemake and an editor would."""
    study.main(["--data", str(data), "--name", "mine", *options])
    config = yaml.safe_load(Path("config/mine.yaml").read_text(encoding="utf-8"))
    load_study(config)
    schema = json.loads((ROOT / "config" / "schema.json").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(config)) == []
    return config


def counts(config: dict) -> tuple[int, dict[str, int]]:
    """Images, and for each class those that show it, as ingest reads the study."""
    dataset = load_study(config).dataset
    manifest, problems, _ = ingest(dataset, Path("problems.csv"))
    assert problems == []
    of_class = np.stack(manifest.frame["area"].map(np.array).to_list()) > 0
    return len(manifest.frame), dict(zip(manifest.class_names, of_class.sum(axis=0).tolist(), strict=True))


def doubts() -> str:
    """The doubts in the file, as one line of text."""
    lines = Path("config/mine.yaml").read_text(encoding="utf-8").splitlines()
    return " ".join(line.strip().removeprefix("# ") for line in lines if line.startswith("  #"))


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


def test_value_255_among_others_may_mean_ignore(tmp_path):
    root = write_mask_folder(tmp_path / "data")
    for number in range(5):
        drawn = mask(number)
        drawn[15:, 30:] = 255
        cv2.imwrite(str(root / "masks" / f"{number:02}.png"), drawn)
    make_study(root)
    assert "5 masks have the value 255, which often means 'to be ignored'" in doubts()


def test_defects_drawn_in_different_values(tmp_path):
    config = make_study(write_mask_folder(tmp_path / "data", values=(1, 255)))
    assert counts(config) == (N_IMAGES, {"defect": N_IMAGES - N_CLEAN})
    assert "the defect is drawn as 1 in 8, 255 in 8 masks" in doubts()


def write_yolo_set(root: Path, place: str = "images", n: int = N_IMAGES, **more: object) -> Path:
    labels = {f"{place}/{number:02}.png": line(1, *SQUARE) if number < n - N_CLEAN else "" for number in range(n)}
    write_yolo(root, labels, **more)
    for image in labels:
        write_image(root / image, seed=zlib.crc32(image.encode()))
    return root


def test_yolo(tmp_path):
    config = make_study(write_yolo_set(tmp_path / "data"))
    assert config["dataset"]["format"] == "yolo"
    # Of the two names in data.yaml only one is used.
    assert config["dataset"]["classes"] == {1: "stain"}
    assert counts(config) == (N_IMAGES, {"stain": N_IMAGES - N_CLEAN})
    assert "no image shows dent" in doubts()


def test_boxes_are_filled_and_doubted(tmp_path):
    root = write_yolo_set(tmp_path / "data")
    (root / "labels" / "00.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    config = make_study(root)
    assert config["dataset"]["boxes"] == "fill"
    assert "1 box among the objects" in doubts()


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


def test_coco(tmp_path):
    for number in range(N_IMAGES):
        write_image(tmp_path / "data" / "images" / f"{number:02}.png", seed=number)
    write_coco_file(tmp_path / "data" / "annotations" / "all.json", range(N_IMAGES))
    config = make_study(tmp_path / "data")
    assert config["dataset"]["annotations"] == "annotations/all.json"
    assert counts(config) == (N_IMAGES, {"dent": N_IMAGES - N_CLEAN})


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


def test_supervisely_in_a_folder_of_the_folder(tmp_path):
    objects = {f"lot/{n:02}.png": [bitmap(mask(n))] if n < N_IMAGES - N_CLEAN else [] for n in range(N_IMAGES)}
    (tmp_path / "data").mkdir()
    write_supervisely(tmp_path / "data" / "project", objects)
    config = make_study(tmp_path / "data")
    assert config["dataset"]["root"] == "data/project"
    assert config["dataset"]["classes"] == {2: "dent"}


def test_severstal_beside_a_submission_and_unlabelled_images(tmp_path):
    root = tmp_path / "data"
    for number in range(N_IMAGES):
        write_image(root / "train_images" / f"{number}.png", seed=number)
        write_image(root / "test_images" / f"t{number}.png", seed=100 + number)
    rows = [f"{number}.png,{1 + number % 2 * 2},{number + 1} 5" for number in range(N_IMAGES - N_CLEAN)]
    (root / "train.csv").write_text("\n".join(["ImageId,ClassId,EncodedPixels", *rows]))
    (root / "sample_submission.csv").write_text("ImageId,EncodedPixels,ClassId\nt0.png,1 1,1\nt1.png,1 1,1\n")
    config = make_study(root)
    assert config["dataset"]["images_dir"] == "train_images"
    assert counts(config) == (N_IMAGES, {"class_1": 8, "class_3": 8})
    assert f"{N_IMAGES} images not used: {N_IMAGES} in test_images" in doubts()


def test_areas_without_images(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    rows = [f"{n}.jpg,{100 + n if n < 16 else 0}" for n in range(N_IMAGES)]
    (tmp_path / "data" / "areas.csv").write_text("\n".join(["ImageId,area_2", *rows]))
    with pytest.raises(SystemExit):
        make_study(tmp_path / "data")
    assert "IMAGE_SIZE=HEIGHTxWIDTH" in capsys.readouterr().err
    config = make_study(tmp_path / "data", "--image-size", "256x1600")
    assert config["dataset"]["classes"] == {2: "class_2"}
    assert config["experiments"] == []


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


def proposed(size: str = "usual", cores: int = 2, gpus: int = 0, **more: object):
    values = {"n_train": 400, "n_classes": 2, "has_clean": True, "height": 256, "width": 1600}
    return propose_experiments(size, **values | more, hardware=Hardware(cores, gpus))


def test_larger_studies_train_more():
    small, usual, thorough = (proposed(size) for size in SIZES)
    assert small.trainings < usual.trainings < thorough.trainings
    assert small.hours < usual.hours < thorough.hours


def test_hardware_changes_the_budget():
    assert proposed(cores=2).defaults["images_seen"] < proposed(cores=16).defaults["images_seen"]
    assert proposed(gpus=1).defaults["images_seen"] == 96_000
    assert "sam2_head" in [entry.settings["model"] for entry in proposed(gpus=1).entries]


def test_large_images_are_trained_by_crops():
    defaults = proposed(height=12_000, width=16_400).defaults
    assert (defaults["mode"], defaults["crop"], defaults["prediction"]) == ("crops", "512x512", "tiles")
    assert "mode" not in proposed().defaults


def test_subsets_fit_the_labels():
    subsets = [entry.settings.get("subset", []) for entry in proposed("thorough", n_train=60).entries]
    assert max((step for subset in subsets for step in subset if step != "full"), default=0) < 60
    assert proposed(n_train=9).entries[0].settings["subset"] == ["full"]


def test_every_format_is_recognised():
    assert LOOKS_LIKE.keys() == FORMATS.keys()


ONE_OF_EACH = [
    *VARIANTS[::40],
    *{variant.form: variant for variant in TOOL_VARIANTS}.values(),
    *[variant for variant in TOOL_VARIANTS if variant.name.startswith("by_class")][::5],
]


@pytest.mark.parametrize("variant", ONE_OF_EACH, ids=lambda variant: variant.name)
def test_datasets_of_other_tools_are_read_as_they_are(tmp_path, variant: Variant):
    root = tmp_path / "data"
    root.mkdir()
    variant.write(root)
    trial = study.choose(Folder(root), "same", "")
    assert trial.problems == ()
    left_out = trial.candidate.settings.get("missing_mask") == "leave_out"
    wanted = {stem: truth(stem, variant.n_classes) for stem in SHAPES if SHAPES[stem] or not left_out}
    assert sorted(Path(path).stem for path in trial.frame["path"]) == sorted(Path(stem).name for stem in wanted)
    for row in trial.frame.itertuples():
        (stem,) = (stem for stem in wanted if Path(stem).name == Path(row.path).stem)
        # Formats without names of classes number them in another order.
        assert sorted(map(bytes, trial.manifest.masks(row))) == sorted(map(bytes, wanted[stem]))

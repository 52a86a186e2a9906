"""Studies from folders of each format; datasets of other tools are read as they are."""

import json
from pathlib import Path

import pytest
import study
from foreign_datasets import annotation, bitmap, write_supervisely
from small_datasets import write_image
from study_folders import N_CLEAN, N_IMAGES, counts, doubts, make_study, mask, write_coco_file, write_yolo_set
from written_by_tools import TOOL_VARIANTS
from written_differently import SHAPES, VARIANTS, Variant, truth

from defectbench.config.ingest import FORMATS
from defectbench.data.discovery import LOOKS_LIKE
from defectbench.data.discovery.folder import Folder


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


def test_coco(tmp_path):
    for number in range(N_IMAGES):
        write_image(tmp_path / "data" / "images" / f"{number:02}.png", seed=number)
    write_coco_file(tmp_path / "data" / "annotations" / "all.json", range(N_IMAGES))
    config = make_study(tmp_path / "data")
    assert config["dataset"]["annotations"] == "annotations/all.json"
    assert counts(config) == (N_IMAGES, {"dent": N_IMAGES - N_CLEAN})


def write_coco_with(folder, name, crowd=0):
    """Dents, and a further shape in five images: of the class ``name``, or a crowd of dents."""
    for number in range(N_IMAGES):
        write_image(folder / "images" / f"{number:02}.png", seed=number)
    path = folder / "annotations" / "all.json"
    write_coco_file(path, range(N_IMAGES))
    content = json.loads(path.read_text())
    content["categories"].append({"id": 9, "name": name})
    shape = [[30, 15, 38, 15, 38, 22]]
    category = 7 if crowd else 9
    content["annotations"] += [annotation(90 + n, shape, n, category, iscrowd=crowd) for n in range(5)]
    path.write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("name", ["ignore", "Don't care", "un-labeled"])
def test_a_class_that_says_so_is_proposed_as_ignored(tmp_path, name):
    config = make_study(write_coco_with(tmp_path / "data", name))
    assert config["dataset"]["ignore"] == name
    assert list(config["dataset"]["classes"].values()) == ["dent"]
    assert counts(config) == (N_IMAGES, {"dent": N_IMAGES - N_CLEAN})
    assert f"{name} is by its name no defect, but what nobody decided" in doubts()


def test_a_void_may_be_a_defect(tmp_path):
    config = make_study(write_coco_with(tmp_path / "data", "void"))
    assert counts(config) == (N_IMAGES, {"dent": N_IMAGES - N_CLEAN, "void": 5})
    assert "void is read as a defect; by its name it may be pixels that nobody decided" in doubts()
    assert "ignore: void, and void taken out of classes" in doubts()


def test_crowds_are_a_doubt(tmp_path):
    config = make_study(write_coco_with(tmp_path / "data", "unused", crowd=1))
    assert "ignore" not in config["dataset"]
    assert "5 crowds (iscrowd: 1) read as defects" in doubts()
    assert "ignore: crowd" in doubts()


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

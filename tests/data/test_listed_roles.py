"""Published roles by the files that list images: CVAT's, Label Studio's, the lists of Pascal VOC, YOLO's data.yaml."""

import json

import numpy as np
import pytest
from foreign_datasets import CLASSES
from PIL import Image
from small_datasets import HEIGHT, WIDTH, write_image

from defectbench.config.ingest import FORMATS, YoloFolder
from defectbench.config.split import SplitSettings
from defectbench.data.given_roles import SplitError, read_roles
from defectbench.data.readers.base import LabelFileError

ROLES = {"lot/a.png": "train", "lot/b b.png": "train", "lot/c.png": "val", "lot/d 1.png": "test"}
FILES = {"train": "train2017", "val": "valid", "test": "my-test"}


def images_of(role: str) -> list[str]:
    return [image_id for image_id, of_image in ROLES.items() if of_image == role]


def write_cvat(root) -> None:
    for role, name in FILES.items():
        images = "".join(f'<image name="{one}" width="{WIDTH}" height="{HEIGHT}"/>' for one in images_of(role))
        (root / f"{name}.xml").write_text(f"<annotations>{images}</annotations>")


def write_label_studio(root) -> None:
    for role, name in FILES.items():
        tasks = [{"id": 1, "data": {"image": one}, "annotations": [{"result": []}]} for one in images_of(role)]
        (root / f"{name}.json").write_text(json.dumps(tasks))


def write_voc(root) -> None:
    folder = root / "ImageSets" / "Segmentation"
    folder.mkdir(parents=True)
    for role, name in FILES.items():
        (folder / f"{name}.txt").write_text("".join(f"{one[:-4]}\n" for one in images_of(role)), "utf-8-sig")
    (folder / "trainval.txt").write_text("anything\n")
    for image_id in ROLES:
        path = root / "SegmentationClass" / image_id
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(path)


WRITERS = {"cvat_images": write_cvat, "label_studio": write_label_studio, "pascal_voc": write_voc}


def write(root, form: str):
    for number, image_id in enumerate(ROLES):
        write_image(root / "images" / image_id, seed=number)
    WRITERS[form](root)
    more = {"annotations": "*.xml"} if form == "cvat_images" else {}
    return FORMATS[form](name="parts", format=form, root=root, images_dir="images", classes=CLASSES, **more)


@pytest.mark.parametrize("form", WRITERS)
def test_roles_by_the_files_that_list_the_images(tmp_path, form):
    dataset = write(tmp_path, form)
    with pytest.raises(SplitError, match=r"labels are in files named after roles \(train: 1, val: 1, test: 1\)"):
        read_roles(ROLES, SplitSettings(), dataset)
    assert read_roles(ROLES, SplitSettings(from_folders=True), dataset).roles.to_dict() == ROLES
    assert read_roles(ROLES, SplitSettings(from_folders=False), dataset) is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("lot/x", "row 3: no image 'lot/x'"),
        ("lot/c", "valid.txt, row 1: 'lot/c' is in ImageSets/Segmentation/train2017.txt"),
    ],
)
def test_lists_that_contradict_the_images_or_each_other(tmp_path, line, problem):
    dataset = write(tmp_path, "pascal_voc")
    with (tmp_path / "ImageSets" / "Segmentation" / "train2017.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(LabelFileError, match=problem):
        read_roles(ROLES, SplitSettings(from_folders=True), dataset)


def test_lists_of_one_class_have_a_number_after_the_name(tmp_path):
    dataset = write(tmp_path, "pascal_voc")
    for path in dataset.list_files():
        path.write_text("".join(f"{line} -1\r\n" for line in path.read_text("utf-8-sig").splitlines()))
    assert read_roles(ROLES, SplitSettings(from_folders=True), dataset).roles.to_dict() == ROLES


def write_yolo(root, places: str, lists=()) -> YoloFolder:
    """Images in folders whose names tell nothing, a data.yaml with ``places`` of roles, and lists of images."""
    for number, image_id in enumerate(YOLO_ROLES):
        write_image(root / "images" / image_id, seed=number)
        label = root / "labels" / f"{image_id[:-4]}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("")
    names = "".join(f"\n  {value}: {name}" for value, name in CLASSES.items())
    (root / "data.yaml").write_text(f"{places}\nnames:{names}\n")
    for role in lists:
        lines = [f"./images/{image_id}\n" for image_id, of_image in YOLO_ROLES.items() if of_image == role]
        (root / f"{role}_list.txt").write_text("".join(lines))
    return YoloFolder(name="parts", format="yolo", root=root, images_dir="images", classes=CLASSES)


YOLO_ROLES = {"tr/a.png": "train", "tr/b b.png": "train", "va/a.png": "val", "te/d 1.png": "test"}
FOLDERS = "train: images/tr\nval: [images/va]\ntest: images/te"
SEEN_FROM_ONE_OF_THEM = "train: ../images/tr\nval: ../images/va\ntest: ../images/te"
LISTS = "train: train_list.txt\nval: ./val_list.txt\ntest: test_list.txt"


@pytest.mark.parametrize("places", [FOLDERS, SEEN_FROM_ONE_OF_THEM, LISTS])
def test_roles_of_yolos_file_of_names(tmp_path, places):
    dataset = write_yolo(tmp_path, places, FILES)
    with pytest.raises(SplitError, match=r"from_folders: .* named after roles \(train: 2, val: 1, test: 1\)"):
        read_roles(YOLO_ROLES, SplitSettings(), dataset)
    assert read_roles(YOLO_ROLES, SplitSettings(from_folders=True), dataset).roles.to_dict() == YOLO_ROLES
    assert read_roles(YOLO_ROLES, SplitSettings(from_folders=False), dataset) is None


@pytest.mark.parametrize("places", ["", "train: images\nval: images\ntest:", "train: images", "test: images/none"])
def test_a_file_of_names_that_tells_no_roles_apart(tmp_path, places):
    assert read_roles(YOLO_ROLES, SplitSettings(), write_yolo(tmp_path, places)) is None


@pytest.mark.parametrize(
    ("places", "problem"),
    [
        ("train: images\nval: images/va", r"data.yaml: val has images that train has too: 1 image.*images/va/a.png"),
        ("train: images/tr\nval: gone.txt", "data.yaml: the list gone.txt cannot be read"),
    ],
)
def test_a_file_of_names_that_contradicts_itself(tmp_path, places, problem):
    dataset = write_yolo(tmp_path, places)
    with pytest.raises(LabelFileError, match=problem):
        read_roles(YOLO_ROLES, SplitSettings(from_folders=True), dataset)
    with pytest.raises(SplitError, match=problem):
        read_roles(YOLO_ROLES, SplitSettings(), dataset)


@pytest.mark.parametrize("place", ["{}/outside.txt", "link.txt"])
def test_a_list_outside_of_the_data_is_not_read(tmp_path, place):
    (tmp_path / "outside.txt").write_text("images/tr/a.png\n")
    dataset = write_yolo(tmp_path / "data", "train: " + place.format(tmp_path))
    (tmp_path / "data/link.txt").symlink_to(tmp_path / "outside.txt")
    with pytest.raises(LabelFileError, match=r"the list .* is outside of its folder, and is not read"):
        read_roles(YOLO_ROLES, SplitSettings(from_folders=True), dataset)

"""Published roles by the files that list images: CVAT's, Label Studio's, and the lists of Pascal VOC."""

import json

import numpy as np
import pytest
from foreign_datasets import CLASSES
from PIL import Image
from small_datasets import HEIGHT, WIDTH, write_image

from defectbench.config.ingest import FORMATS
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

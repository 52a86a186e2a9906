"""Names in labels, tables and split files are looked up among the images: no path is ever built of them."""

import json

import pytest
from bombs_of_labels import cvat, label_studio
from foreign_datasets import annotation, write_coco
from small_datasets import HEIGHT, WIDTH, write_image, write_severstal

from defectbench.config.split import SplitSettings
from defectbench.data.given_roles import SplitError, read_roles
from defectbench.data.hugging_face import HuggingFaceError, unpack
from defectbench.data.ingest import BadSamplesError, ingest

OUTSIDE = ["../outside.png", "{}/outside.png", "images/../../outside.png", "..\\outside.png", "a.png\0", "/etc/passwd"]


@pytest.fixture(params=OUTSIDE, ids=["parent", "absolute", "inner parent", "backslash", "NUL", "system"])
def name(request, tmp_path):
    write_image(tmp_path / "outside.png")
    return request.param.format(tmp_path)


def refuse(dataset, tmp_path, name):
    with pytest.raises(BadSamplesError) as error:
        ingest(dataset, tmp_path / "found.csv", threads=1)
    assert "outside.png: " not in str(error.value)  # it was not read


def test_in_coco(tmp_path, name):
    images = [{"id": 0, "file_name": name, "height": HEIGHT, "width": WIDTH}]
    refuse(write_coco(tmp_path / "data", [annotation(1, [[1, 1, 9, 1, 9, 9]])], images=images), tmp_path, name)


def test_in_label_studio(tmp_path, name):
    (tmp_path / "data").mkdir()
    dataset = label_studio(tmp_path / "data", "[]", json.dumps(name.replace("a.png", "b.png"))[1:-1])
    refuse(dataset, tmp_path, name)


@pytest.mark.parametrize("name", OUTSIDE[:4], indirect=True)
def test_in_cvat(tmp_path, name):
    (tmp_path / "data").mkdir()
    dataset = cvat(tmp_path / "data", '<tag label="dent"/>')
    path = tmp_path / "data/annotations.xml"
    path.write_text(path.read_text().replace("a.png", name))
    refuse(dataset, tmp_path, name)


@pytest.mark.parametrize("name", OUTSIDE[:4], indirect=True)
def test_in_a_table(tmp_path, name):
    refuse(write_severstal(tmp_path / "data", [f"{name},1,1 5"]), tmp_path, name)


@pytest.mark.parametrize("name", OUTSIDE[:4], indirect=True)
def test_in_a_split_file(tmp_path, name):
    dataset = write_severstal(tmp_path / "data", ["0.png,1,1 5"])
    (tmp_path / "data/split.csv").write_text(f"image,split\n{name},train\n")
    settings = SplitSettings.model_validate({"file": {"path": "split.csv", "image_column": "image"}})
    with pytest.raises(SplitError, match="not in train_images: 1 images"):
        read_roles(["0.png"], settings, dataset)


@pytest.mark.parametrize("name", OUTSIDE[:3], indirect=True)
def test_in_tables_of_hugging_face(tmp_path, name):
    (tmp_path / "data").mkdir()
    row = json.dumps({"file_name": name, "mask_file_name": name})
    (tmp_path / "data/metadata.jsonl").write_text(f"{row}\n")
    with pytest.raises(HuggingFaceError, match=r"no file .*outside\.png"):
        unpack(tmp_path / "data", tmp_path / "out")

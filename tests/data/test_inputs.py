"""Data as people have them: what other tools were reported to misread is read right, or refused by name."""

import base64
import json
import os
import shutil
import zlib

import pandas as pd
import pytest
from foreign_datasets import (
    CLASSES,
    RING,
    SQUARE,
    annotation,
    bitmap,
    line,
    polygon,
    read_masks,
    refusals,
    shape,
    write_coco,
    write_supervisely,
    write_yolo,
)
from ingested import defective, index_mask, read
from PIL import Image
from pydantic import ValidationError
from small_datasets import HEIGHT, WIDTH, write_image, write_masks, write_severstal

from defectbench.config.ingest import CocoFiles, YoloFolder
from defectbench.data.ingest import BadSamplesError
from defectbench.data.readers import READERS
from defectbench.data.readers.base import LabelFileError, Note

# Labels that find no image, where an image without a label is clean -------------------------------------------------


def test_a_name_in_another_case_is_found_if_only_one_image_can_be_meant(tmp_path):
    found = read(write_severstal(tmp_path, ["0.PNG,1,1 5", "1.png,2,3 4"]), tmp_path)
    assert defective(found) == ["0.png", "1.png"]
    assert found.notes == [Note("0.png", "name written differently", "'0.PNG' was taken for '0.png'")]


def wrong_severstal(root):
    return write_severstal(root, ["0.png,1,1 5", "images/1.png,1,1 5"], on_bad_sample="quarantine"), "1.png"


def wrong_yolo(root):
    labels = {"images/0.png": line(0, *SQUARE), "images/img_1.png": None}
    dataset = write_yolo(root, labels, on_bad_sample="quarantine")
    (root / "labels/img-1.txt").write_text(line(0, *SQUARE))
    return dataset, "labels/img_1.txt"


def wrong_masks(root):
    dataset = write_masks(root, {"0": index_mask(1), "img_1": index_mask(1)}, missing_mask="clean")
    (root / "masks/img_1.png").rename(root / "masks/img-1.png")
    return dataset.model_copy(update={"on_bad_sample": "quarantine"}), "img_1"


def wrong_clean_folder(root):
    dataset = write_supervisely(root, {"good/img_1.png": [bitmap(shape())], "bad/0.png": [bitmap(shape())]})
    (root / "good/ann/img_1.png.json").rename(root / "good/ann/img-1.png.json")
    return dataset.model_copy(
        update={"on_bad_sample": "quarantine", "clean_folders": ["good"]}
    ), "good/ann/img_1.png.json"


def wrong_coco(root):
    return write_coco(root, [annotation(1, [RING]), annotation(2, [RING], image=9)], on_bad_sample="quarantine"), None


@pytest.mark.parametrize("write", [wrong_severstal, wrong_yolo, wrong_masks, wrong_clean_folder, wrong_coco])
def test_a_label_without_image_always_stops_where_its_image_would_be_clean(tmp_path, write):
    dataset, meant = write(tmp_path)
    dataset = dataset.model_copy(update={"on_bad_sample": "quarantine"})
    with pytest.raises(BadSamplesError, match=r"never set aside") as error:
        read(dataset, tmp_path)
    assert meant is None or f"did you mean '{meant}'?" in str(error.value)
    assert "on_bad_sample: quarantine to" not in str(error.value)
    assert len(pd.read_csv(tmp_path / "found.csv")) == 1


def test_images_whose_case_alone_differs_are_not_mixed_up(tmp_path):
    dataset = write_severstal(tmp_path, ["A.png,1,1 5"])
    for name in ("a.png", "A.png"):
        write_image(tmp_path / "train_images" / name)
    assert defective(read(dataset, tmp_path)) == ["A.png"]
    (tmp_path / "train.csv").write_text("ImageId,ClassId,EncodedPixels\nA.PNG,1,1 5\n")
    with pytest.raises(BadSamplesError, match=r"did you mean 'A.png' or 'a.png'\?"):
        read(dataset, tmp_path)


# Unlabelled folders -------------------------------------------------------------------------------------------------


def roboflow_yolo(root):
    labels = {"train/images/a.png": line(0, *SQUARE), "train/images/b.png": None, "test/images/c.png": None}
    dataset = write_yolo(root, labels, images_dir=".")
    shutil.rmtree(root / "test/labels")
    return dataset, "test/images"


def two_folders_severstal(root):
    dataset = write_severstal(root, ["train/0.png,1,1 5", "train/1.png,,"], n_images=0, images_dir=".")
    for name in ("train/0.png", "train/1.png", "train/2.png", "test/0.png"):
        write_image(root / name)
    return dataset, "test"


def roboflow_coco(root):
    for part, annotations in (("train", [annotation(1, [RING])]), ("test", [])):
        write_coco(root / part, annotations, n_images=2)
        for name in ("0.png", "1.png"):
            (root / part / "images" / name).rename(root / part / name)
    values = {"images_dir": ".", "annotations": "*/annotations.json"}
    return CocoFiles(name="parts", format="coco", root=root, classes=CLASSES, **values), "test"


@pytest.mark.parametrize("write", [roboflow_yolo, two_folders_severstal, roboflow_coco])
def test_images_of_an_unlabelled_folder_are_not_taken_for_clean(tmp_path, write):
    dataset, folder = write(tmp_path)
    with pytest.raises(BadSamplesError, match=r"not known to be clean.*add their folder to clean_folders"):
        read(dataset, tmp_path)
    labelled = read(dataset.model_copy(update={"on_bad_sample": "quarantine"}), tmp_path)
    assert not labelled.manifest.frame["image_id"].str.startswith(folder).any()
    clean = dataset.model_copy(update={"clean_folders": [f"./{folder}/"]})
    assert clean.missing() == []
    assert read(clean, tmp_path).manifest.frame["image_id"].str.startswith(folder).any()
    gone = dataset.model_copy(update={"clean_folders": ["gone"]})
    assert gone.missing() == [f"dataset.clean_folders: no such folder: {dataset.root / dataset.images_dir / 'gone'}"]


# The walk -----------------------------------------------------------------------------------------------------------


def test_what_tools_leave_beside_images_is_counted_and_links_are_a_finding(tmp_path):
    root = tmp_path / "data"
    dataset = write_yolo(root, {"images/a.png": line(0, *SQUARE), "images/lot2/b.png": line(1, *SQUARE)})
    for folder in ("images", "labels"):
        (root / folder / "lot2").rename(tmp_path / folder)
        (root / folder / "lot2").symlink_to(tmp_path / folder)
    (root / "images/.ipynb_checkpoints").mkdir()
    for name in (".ipynb_checkpoints/a-checkpoint.png", "._a.png", "Thumbs.db", "c.gif", "d.gif", "README"):
        (root / "images" / name).touch()
    found = read(dataset, tmp_path)
    assert defective(found) == ["a.png", "lot2/b.png"]
    details = {(note.sample, note.finding, note.detail) for note in found.notes}
    assert details == {
        (
            "images",
            "passed over",
            "3, of a system or tool: images/._a.png, images/.ipynb_checkpoints, images/Thumbs.db",
        ),
        ("images", "passed over", "2, called *.gif, not read as images or labels: images/c.gif, images/d.gif"),
        ("images", "passed over", "1, without a suffix: images/README"),
        ("images", "link out of the data", "1 lead out of the data and are followed: lot2"),
        ("labels", "link out of the data", "1 lead out of the data and are followed: lot2"),
    }


def test_a_table_that_is_a_link_out_of_the_data_is_a_finding(tmp_path):
    dataset = write_severstal(tmp_path / "data", ["0.png,1,1 5"])
    (tmp_path / "data/train.csv").rename(tmp_path / "train.csv")
    (tmp_path / "data/train.csv").symlink_to(tmp_path / "train.csv")
    (note,) = read(dataset, tmp_path).notes
    assert note == Note(".", "link out of the data", "1 lead out of the data and are followed: train.csv")


def test_a_pipe_is_no_image(tmp_path):
    dataset = write_masks(tmp_path, {"a": index_mask(1)})
    os.mkfifo(tmp_path / "images/b.png")
    (note,) = read(dataset, tmp_path).notes
    assert note.detail == "1, not a file: a pipe, socket or device: images/b.png"


def test_names_that_cannot_be_shown_are_refused(tmp_path):
    dataset = write_masks(tmp_path, {"a": index_mask(1)})
    (tmp_path / "images/b\n.png").touch()
    (problem,) = dataset.missing()
    assert problem == f"dataset.root: {tmp_path}/images: the name 'b\\n.png' cannot be shown: rename it"


def test_labels_of_a_folder_that_has_no_images_are_seen(tmp_path):
    dataset = write_yolo(tmp_path, {"images/lot1/a.png": line(0, *SQUARE)})
    (tmp_path / "labels/lot2").mkdir()
    (tmp_path / "labels/lot2/a.txt").write_text(line(0, *SQUARE))
    with pytest.raises(BadSamplesError, match=r"labels/lot2/a.txt: label file has no image"):
        read(dataset, tmp_path)


def test_images_that_share_a_label_file_are_named(tmp_path):
    dataset = write_yolo(tmp_path, {"images/a.png": line(0, *SQUARE), "images/b.png": ""})
    write_image(tmp_path / "images/a.jpg")
    with pytest.raises(BadSamplesError, match=r"is the label file of 2 images, a.jpg, a.png"):
        read(dataset, tmp_path)


# Settings that contradict the data ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({0: "bg", 1: "crack"}, "0 is the background of 'index' masks"),
        ({1: "Background", 2: "crack"}, "'Background' would be a defect"),
        ({1: "_background_", 2: "crack"}, "'_background_' would be a defect"),
        ({1: "crack\n"}, "control characters"),
        ({1: " crack"}, "outer blanks"),
        ({1: ""}, "must not be empty"),
        ({1: "a\0"}, "control characters"),
        ({1: False}, "put names in quotes"),
        ({True: "yes"}, "put names in quotes"),
        ({1: None}, "put names in quotes"),
    ],
)
def test_classes_that_cannot_be_meant(tmp_path, classes, message):
    with pytest.raises(ValidationError, match=message):
        write_masks(tmp_path, {}, classes=classes)


def test_names_that_yaml_takes_for_truth_values(tmp_path):
    dataset = write_yolo(tmp_path, {"images/a.png": line(0, *SQUARE)}, "[no, yes]", classes={0: "no", 1: "yes"})
    assert read_masks(dataset, "a.png").sum() == 49
    numbers = write_yolo(tmp_path, {"images/a.png": line(0, *SQUARE)}, "{0: 007, 1: ~}", classes={0: "007", 1: "~"})
    assert read_masks(numbers, "a.png").sum() == 49


# Shapes and tables --------------------------------------------------------------------------------------------------


def degenerate_coco(root):
    return write_coco(root, [annotation(1, [RING, [1, 1, 2, 2]]), annotation(2, [[3, 3]])], n_images=1), "0.png"


def degenerate_yolo(root):
    return write_yolo(root, {"images/a.png": line(0, *SQUARE) + "0 0.5 0.5\n1 0.1 0.1\n"}), "a.png"


def degenerate_supervisely(root):
    square = [[2, 2], [8, 2], [8, 8], [2, 8]]
    return write_supervisely(root, {"a.png": [polygon(square, [[4, 4]]), polygon([[1, 1], [2, 2]])]}), "img/a.png"


@pytest.mark.parametrize("write", [degenerate_coco, degenerate_yolo, degenerate_supervisely])
def test_degenerate_shapes_are_left_out_one_by_one_and_listed(tmp_path, write):
    dataset, image_id = write(tmp_path)
    found = read(dataset, tmp_path)
    (note,) = found.notes
    assert (note.sample, note.finding, note.detail[:5]) == (image_id, "shape left out", "2 in ")
    assert note.detail.count("it needs at least 3") == 2
    assert defective(found) == [image_id]


def test_an_image_whose_only_shape_is_degenerate_is_said_to_count_as_clean(tmp_path):
    dataset = write_coco(tmp_path, [annotation(1, [[1, 1, 2, 2]])], n_images=1)
    (note,) = read(dataset, tmp_path).notes
    assert note.detail.endswith("none is left, so the image counts as clean")


def test_a_row_longer_than_the_header_is_refused_with_its_number(tmp_path):
    dataset = write_severstal(tmp_path, ["0.png,1,1 5", "1.png,1,1 5,7"])
    with pytest.raises(LabelFileError, match=r"train.csv: row 3 has 4 cells, the header 3"):
        READERS["severstal_csv"](dataset)


def test_text_in_an_unknown_encoding_is_refused_by_file(tmp_path):
    dataset = write_severstal(tmp_path, ["0.png,1,1 5"])
    (tmp_path / "train.csv").write_bytes("ImageId,ClassId,EncodedPixels\nGröße.png,1,1 5\n".encode("cp1252"))
    with pytest.raises(LabelFileError, match=r"train.csv: not UTF-8 text \(line 2\); save it as UTF-8"):
        READERS["severstal_csv"](dataset)


def test_webp_images_are_read_with_their_labels(tmp_path):
    dataset = write_yolo(tmp_path, {"images/a.webp": line(0, *SQUARE), "images/b.webp": None})
    found = read(dataset, tmp_path)
    assert (defective(found), len(found.manifest.frame)) == (["a.webp"], 2)


def test_a_label_of_an_image_that_cannot_be_read_says_what_was_passed_over(tmp_path):
    dataset = write_yolo(tmp_path, {"images/a.png": line(0, *SQUARE), "images/b.png": line(0, *SQUARE)})
    (tmp_path / "images/b.png").rename(tmp_path / "images/b.gif")
    with pytest.raises(BadSamplesError) as error:
        read(dataset, tmp_path)
    assert "labels/b.txt: label file has no image" in str(error.value)
    assert "In images, passed over: 1, called *.gif, not read as images or labels: images/b.gif" in str(error.value)


def test_an_image_that_no_decoder_reads_is_named(tmp_path):
    dataset = write_masks(tmp_path, {"a": index_mask(1), "b": index_mask(1)})
    Image.new("1", (2**15 + 1, 2**15)).save(tmp_path / "images/a.png")
    with pytest.raises(BadSamplesError, match=r"images/a.png: image has 32768 x 32769 pixels"):
        read(dataset, tmp_path)


# Work and memory are bounded by the size of file and image ----------------------------------------------------------


def test_numbers_of_a_code_are_bounded(tmp_path):
    code = {"size": [HEIGHT, WIDTH], "counts": "o" * 10**6 + "0"}
    dataset = write_coco(tmp_path, [annotation(1, code)], n_images=1)
    assert "a number that is too large" in refusals(dataset, "0.png")[0][2]


def test_a_bitmap_larger_than_its_image_is_not_unpacked(tmp_path):
    bomb = bitmap(shape())
    bomb["bitmap"]["data"] = base64.b64encode(zlib.compress(bytes(10**8))).decode()
    assert "larger than its image" in refusals(write_supervisely(tmp_path, {"a.png": [bomb]}), "img/a.png")[0][2]


def test_yaml_is_not_merged(tmp_path):
    lines = ["x0: &a0 {q: 1}"] + [f"x{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 12)]
    dataset = write_yolo(tmp_path, {"images/a.png": line(0, *SQUARE)})
    (tmp_path / "data.yaml").write_text("names: [dent, stain]\n" + "\n".join(lines) + "\n")
    assert read_masks(dataset, "a.png").sum() == 49


def test_json_in_utf_8_with_a_mark_and_in_utf_16(tmp_path):
    dataset = write_coco(tmp_path, [annotation(1, [RING])], n_images=1)
    path = tmp_path / "annotations.json"
    content = json.loads(path.read_text())
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes(json.dumps(content).encode(encoding))
        assert read_masks(dataset, "0.png").sum() == 36


def test_settings_survive_the_file_that_ingest_reads(tmp_path):
    dataset = write_yolo(tmp_path, {"images/a.png": ""}, exif="upright", clean_folders=["."])
    dataset.write(tmp_path / "ingest.yaml")
    assert YoloFolder.read(tmp_path / "ingest.yaml") == dataset

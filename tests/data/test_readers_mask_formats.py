"""Formats whose labels are mask files: Pascal VOC, ultralytics, MVTec, and binary masks of several classes."""

import importlib

import numpy as np
import pytest
from foreign_datasets import CLASSES, read_masks, rectangle, refusals, told
from mask_files import with_palette
from PIL import Image
from pydantic import ValidationError
from small_datasets import HEIGHT, WIDTH, drawn, write_image

from defectbench.config.ingest import FORMATS
from defectbench.data.readers import READERS
from defectbench.data.readers.base import LabelFileError
from defectbench.data.voc_palette import voc_colour

INDEX = rectangle(2, 5, 3, 9) + 2 * rectangle(10, HEIGHT, 20, WIDTH)
MASKS = np.stack([INDEX == 1, INDEX == 2])
PUBLISHED = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128,) * 3]


def settings(form: str, root, **values):
    return FORMATS[form](**{"name": "parts", "format": form, "root": root, "classes": CLASSES} | values)


def save(path, mask: np.ndarray | Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (Image.fromarray(mask) if isinstance(mask, np.ndarray) else mask).save(path)


# Pascal VOC -------------------------------------------------------------------------------------------------------


def test_the_palette_is_the_published_one():
    assert [voc_colour(value) for value in range(8)] == PUBLISHED
    assert voc_colour(20) == (0, 64, 128)  # tv monitor
    assert voc_colour(255) == (224, 224, 192)  # void
    assert len({voc_colour(value) for value in range(256)}) == 256


def voc(root, mask, **values):
    write_image(root / "JPEGImages" / "a.png")
    save(root / "SegmentationClass" / "a.png", mask)
    return settings("pascal_voc", root, **values)


def palette_mask(mask: np.ndarray, colours=None) -> Image.Image:
    return with_palette(mask, *(colours or [voc_colour(value) for value in range(256)]))


@pytest.mark.parametrize("kind", ["palette", "rgb", "grey"])
def test_void_pixels_are_refused(tmp_path, kind):
    mask = INDEX.copy()
    mask[1, 3:9] = 255
    palette = palette_mask(mask)
    ways = {"palette": palette, "rgb": palette.convert("RGB"), "grey": mask}
    ((file, _, problem),) = refusals(voc(tmp_path, ways[kind]), "a.png")
    assert file == "SegmentationClass/a.png"
    assert problem.startswith("mask has 6 pixels of the value 255, void: they are neither defect nor background")


def test_other_numbers_and_palettes(tmp_path):
    ((_, _, problem),) = refusals(voc(tmp_path, palette_mask(INDEX + 1)), "a.png")
    assert problem == "mask has the numbers 3, which are not in classes: (1, 2)"
    ((_, _, problem),) = refusals(voc(tmp_path, INDEX + 1), "a.png")
    assert problem == "mask has the numbers 3, which are not in classes: (1, 2)"
    ((_, _, problem),) = refusals(voc(tmp_path, palette_mask(INDEX, [(0, 0, 0), (255, 0, 0), (0, 0, 255)])), "a.png")
    assert problem.startswith("mask has the colours [0, 0, 255], [255, 0, 0], which are not in Pascal VOC's palette")
    with pytest.raises(ValidationError, match="numbers of classes are from 1 to 254"):
        voc(tmp_path, INDEX, classes={255: "dent"})


def test_a_mask_larger_than_its_image_is_not_decoded(tmp_path, monkeypatch):
    dataset = voc(tmp_path, np.zeros((4000, 4000), np.uint8))
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda image: pytest.fail("decoded"))
    assert refusals(dataset, "a.png")[0][2] == "mask is 4000 x 4000, its image 24 x 40"


def test_images_without_a_mask_can_be_left_out(tmp_path):
    write_image(tmp_path / "JPEGImages" / "b.png")
    problem = "has no mask; if images without a mask are clean, set missing_mask: clean"
    assert told(voc(tmp_path, INDEX)) == {("b.png", problem)}
    labels = READERS["pascal_voc"](voc(tmp_path, INDEX, missing_mask="leave_out"))
    assert labels.problems == []
    assert [tuple(note) for note in labels.notes] == [("JPEGImages", "passed over", "1 images, without a mask: b.png")]
    assert refusals(voc(tmp_path, INDEX, missing_mask="leave_out"), "b.png") == []


# Ultralytics ------------------------------------------------------------------------------------------------------


def semantic(root, mask: np.ndarray, names: str = "names: [background, dent, stain]", **values):
    write_image(root / "images" / "val" / "a.png")
    save(root / "masks" / "val" / "a.png", mask)
    (root / "data.yaml").write_text(f"masks_dir: masks\n{names}\n")
    return settings("yolo_semantic", root, **values)


def test_semantic_masks(tmp_path):
    np.testing.assert_array_equal(read_masks(semantic(tmp_path, INDEX), "val/a.png"), MASKS)
    mapping = "names: [background, dent, stain]\nlabel_mapping: {7: 1, 9: 2, 8: ignore_label}"
    np.testing.assert_array_equal(
        read_masks(semantic(tmp_path, np.array([0, 7, 9], np.uint8)[INDEX], mapping), "val/a.png"), MASKS
    )
    one = semantic(tmp_path, (INDEX > 0).astype(np.uint8), "names: {0: dent}", classes={1: "dent"})
    np.testing.assert_array_equal(read_masks(one, "val/a.png"), [INDEX > 0])


def test_ultralytics_reads_what_is_exported(tmp_path):
    """The masks that its loader gives are the classes that were written, 0 the background."""
    importlib.import_module("defectbench.families.yolo.network")  # before ultralytics, which it keeps offline
    data = pytest.importorskip("ultralytics.data.dataset")
    from exported_datasets import source_masks, write_exported

    dataset = write_exported(tmp_path, "yolo_semantic", "yolo_semantic")
    config = {"names": {0: "background", 1: "dent", 2: "stain"}, "masks_dir": "masks", "nc": 3, "channels": 3}
    loaded = data.SemanticDataset(img_path=str(dataset.root / "images"), data=config, task="semantic", augment=False)
    stored = {path.stem: np.asarray(Image.open(path)) for path in source_masks(tmp_path).label_files()}
    for index, path in enumerate(loaded.mask_files):
        np.testing.assert_array_equal(loaded.load_mask(index, (HEIGHT, WIDTH)), stored[path.split("/")[-1][:-4]])
    assert len(loaded.mask_files) == len(stored) == 3


@pytest.mark.parametrize(
    ("values", "names", "problem"),
    [
        ((0, 1, 255), "names: [background, dent, stain]", "mask has 560 pixels of the value 255, ignore"),
        ((0, 7, 8), "names: [bg, dent, stain]\nlabel_mapping: {7: 1, 8: }", "mask has 560 pixels of the value 255"),
        ((0, 1, 3), "names: [background, dent, stain]", "mask has the values 3; allowed: 1, 2, background (0)"),
        (
            (0, 1, 2),
            "names: {1: dent, 2: stain}",
            "mask has the values 0; allowed: 1, 2, no background among the names",
        ),
    ],
)
def test_semantic_masks_with_other_values(tmp_path, values, names, problem):
    mask = np.array(values, np.uint8)[rectangle(0, 1, 0, 1) + 2 * rectangle(10, HEIGHT, 0, WIDTH)]
    ((file, _, found),) = refusals(semantic(tmp_path, mask, names), "val/a.png")
    assert file == "masks/val/a.png"
    assert found.startswith(problem)


def test_semantic_class_names(tmp_path):
    for names in ("names: [background, dent]", "names: [dent, stain]", "nc: 3", "names: [", "names: {x: dent}"):
        with pytest.raises(LabelFileError, match=r"data.yaml: "):
            READERS["yolo_semantic"](semantic(tmp_path, INDEX, names))


# MVTec ------------------------------------------------------------------------------------------------------------


def mvtec(root, **values):
    for name in ("train/good/0", "test/good/0", "test/dent/0", "test/stain/0"):
        write_image(root / f"{name}.png")
        defect = name.split("/")[1]
        if defect != "good":
            save(root / "ground_truth" / defect / "0_mask.png", (INDEX > 0) * np.uint8(255))
    return settings("mvtec", root, **values)


def test_mvtec_folders_are_the_classes(tmp_path):
    dataset = mvtec(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in dataset.image_files()] == [
        "test/dent/0.png",
        "test/good/0.png",
        "test/stain/0.png",
        "train/good/0.png",
    ]
    nothing, both = 0 * INDEX, INDEX > 0
    expected = [("test/dent/0", [both, nothing]), ("test/stain/0", [nothing, both]), ("train/good/0", [nothing] * 2)]
    for name, masks in expected:
        np.testing.assert_array_equal(read_masks(dataset, f"{name}.png"), masks)


def test_mvtec_refusals(tmp_path):
    write_image(tmp_path / "test" / "Dents" / "0.png")
    write_image(tmp_path / "test" / "dent" / "1.png")
    save(tmp_path / "ground_truth" / "Dents" / "0_mask.png", (INDEX > 0) * np.uint8(255))
    save(tmp_path / "ground_truth" / "dent" / "2_mask.png", (INDEX > 0) * np.uint8(255))
    save(tmp_path / "ground_truth" / "good" / "0_mask.png", (INDEX > 0) * np.uint8(255))
    dataset = mvtec(tmp_path)
    assert {(one.sample, one.problem, one.always_stops) for one in READERS["mvtec"](dataset).problems} == {
        ("test/dent/1.png", "has no mask with the suffix _mask", False),
        ("ground_truth/dent/2_mask", "mask has no image; did you mean 'ground_truth/dent/1_mask'?", True),
    }
    folder = "folder 'Dents' is not in classes: dent, stain; did you mean 'dent'?"
    assert refusals(dataset, "test/Dents/0.png") == [("ground_truth/Dents/0_mask.png", None, folder)]
    ((_, _, problem),) = refusals(dataset, "test/good/0.png")
    assert problem == f"mask of a good image, by its folder 'good', has {(INDEX > 0).sum()} defect pixels"
    save(tmp_path / "ground_truth" / "good" / "0_mask.png", 0 * INDEX)
    assert not drawn(READERS["mvtec"](dataset), "test/good/0.png").any()


def test_a_product_called_good_is_not_clean(tmp_path):
    mvtec(tmp_path / "good")
    write_image(tmp_path / "good" / "test" / "dent" / "7.png")
    ((sample, _),) = told(settings("mvtec", tmp_path))
    assert sample == "good/test/dent/7.png"


# Binary masks of several classes ----------------------------------------------------------------------------------


def by_class(root, names: list[str], images=("a.png",), **values):
    for image in images:
        write_image(root / "images" / image)
    for name in names:
        save(root / "masks" / f"{name}.png", (INDEX > 0) * np.uint8(255))
    return settings("mask_folder", root, **{"mask_kind": "binary", "class_from": "folder"} | values)


def test_folders_of_masks_may_be_those_of_the_images(tmp_path):
    dataset = by_class(tmp_path, ["dent/a", "stain/b"], ["dent/a.png", "stain/b.png"], missing_mask="clean")
    np.testing.assert_array_equal(read_masks(dataset, "dent/a.png"), [INDEX > 0, 0 * INDEX])
    np.testing.assert_array_equal(read_masks(dataset, "stain/b.png"), [0 * INDEX, INDEX > 0])


@pytest.mark.parametrize(
    ("names", "images", "values", "problems"),
    [
        (
            ["dent/a"],
            ["a.png"],
            {},
            {("a.png", "has no mask of stain; if an image without a mask of a class has no such")},
        ),
        (
            ["dent/a", "stain/a", "dents/a"],
            ["a.png"],
            {},
            {("dents/a", "no folder of the mask is a class: dent, stain; did")},
        ),
        (["dent/a", "stain/a", "stain/x"], ["a.png"], {}, {("stain/x", "mask has no image")}),
        (
            ["dent/a"],
            ["a.png", "dent/a.png"],
            {"missing_mask": "clean"},
            {
                ("dent/a", "mask may be of ['a', 'dent/a']"),
                ("a.png", "no image of its folder has a label"),
                ("dent/a.png", "no image of its folder has a label"),
            },
        ),
        (
            ["dent/a", "Dent/a", "stain/a"],
            ["a.png"],
            {},
            {("a.png", "whose mask it is is not known: its image has another")},
        ),
        (
            ["a_dent", "a_stain", "a-stains"],
            ["a.png"],
            {"class_from": "file_name"},
            {("a-stains", "no name of the mask ends with a class: dent, stain")},
        ),
        (
            ["a_dent", "a_stain"],
            ["a.png", "a.jpg"],
            {"class_from": "file_name"},
            {
                ("a.png", "whose mask it is is not known: a.jpg, a.png share"),
                ("a.jpg", "whose mask it is is not known: a.jpg"),
            },
        ),
        (
            ["dent/a_m", "stain/a"],
            ["a.png"],
            {"mask_suffix": "_m", "missing_mask": "clean"},
            {("stain/a", "name of the mask does not end with mask_suffix, '_m'")},
        ),
    ],
)
def test_masks_of_unknown_class_or_image(tmp_path, names, images, values, problems):
    found = told(by_class(tmp_path, names, images, **values))
    for sample, start in problems:
        assert any(one == sample and problem.startswith(start) for one, problem in found), found
    others = {(one, problem) for one, problem in found if one not in dict(problems)}
    assert others == set()


def test_images_that_lack_a_mask_of_a_class_can_be_left_out(tmp_path):
    dataset = by_class(tmp_path, ["dent/a", "stain/a", "dent/b"], ["a.png", "b.png"], missing_mask="leave_out")
    labels = READERS["mask_folder"](dataset)
    assert labels.problems == []
    assert [note.detail for note in labels.notes] == ["1 images, without a mask of each class: b.png"]
    assert drawn(labels, "a.png").any()
    assert refusals(dataset, "b.png") == []


def test_masks_of_another_size_or_kind(tmp_path):
    dataset = by_class(tmp_path, ["dent/a", "stain/a"])
    save(tmp_path / "masks" / "stain" / "a.png", (INDEX > 0)[:-1] * np.uint8(255))
    assert refusals(dataset, "a.png") == [("masks/stain/a.png", None, "mask is 23 x 40, its image 24 x 40")]
    save(tmp_path / "masks" / "stain" / "a.png", INDEX)
    assert refusals(dataset, "a.png")[0][2].startswith("mask has the values 0, 1, 2; a binary mask has 0 and 1")


def test_the_class_of_a_mask_has_to_come_from_somewhere(tmp_path):
    with pytest.raises(ValidationError, match="say where the class of a mask is with class_from: folder or file_name"):
        by_class(tmp_path, ["dent/a"], class_from=None)
    with pytest.raises(ValidationError, match="'index' masks say the class of each pixel"):
        by_class(tmp_path, ["dent/a"], mask_kind="index")

"""CVAT: XML files of shapes, and Segmentation mask 1.1."""

import numpy as np
import pytest
from foreign_datasets import CLASSES, read_masks, rectangle, refusals, shape, told
from PIL import Image
from pycocotools import mask as coco_tools
from small_datasets import HEIGHT, WIDTH, drawn, write_image
from written_by_tools import cvat_run_lengths

from defectbench.config.ingest import FORMATS
from defectbench.data.readers import READERS
from defectbench.data.readers.base import LabelFileError

IMAGE = f'<image id="0" name="a.png" width="{WIDTH}" height="{HEIGHT}">'
RING = '<polygon label="dent" points="2,2;8,2;8,8;2,8"/>'


def write_cvat(root, text: str, images=("a.png",), **settings):
    for number, name in enumerate(images):
        write_image(root / "images" / name, seed=number)
    (root / "annotations.xml").write_text(f"<annotations>\n{text}\n</annotations>\n")
    return FORMATS["cvat_images"](
        **{"name": "parts", "format": "cvat_images", "root": root, "classes": CLASSES} | settings
    )


def of_image(*shapes: str) -> str:
    return "\n".join([IMAGE, *shapes, "</image>"])


def test_polygons_follow_the_rule_of_coco(tmp_path):
    points = [(3.2, 4.9), (30.7, 2.2), (25.1, 20.5), (8.0, 17.3)]
    text = ";".join(f"{x},{y}" for x, y in points)
    dataset = write_cvat(tmp_path, of_image(RING, f'<polygon label="stain" points="{text}"/>'))
    (code,) = coco_tools.frPyObjects([[number for point in points for number in point]], HEIGHT, WIDTH)
    np.testing.assert_array_equal(read_masks(dataset, "a.png"), [rectangle(2, 8, 2, 8), coco_tools.decode(code)])


def test_masks_are_run_lengths_along_the_rows_of_a_box(tmp_path):
    part = shape(4)[3:20, 5:33]
    lengths = ", ".join(map(str, cvat_run_lengths(part)))
    mask = f'<mask label="dent" rle="{lengths}" left="5" top="3" width="28" height="17"/>'
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[3:20, 5:33] = part
    np.testing.assert_array_equal(read_masks(write_cvat(tmp_path, of_image(mask)), "a.png")[0], expected)


def test_ellipses_turn_clockwise(tmp_path):
    across, up = (
        '<ellipse label="dent" cx="20" cy="12" rx="9" ry="3"',
        '<ellipse label="stain" cx="20" cy="12" rx="3" ry="9"',
    )
    masks = read_masks(write_cvat(tmp_path, of_image(f"{across}/>", f'{across} rotation="90"/>', f"{up}/>")), "a.png")
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    lying, standing = (((x - 20) / a) ** 2 + ((y - 12) / b) ** 2 <= 1 for a, b in ((9, 3), (3, 9)))
    np.testing.assert_array_equal(masks, [lying | standing, standing])
    tilted = read_masks(write_cvat(tmp_path, of_image(f'{across} rotation="30"/>')), "a.png")[0]
    ys, xs = np.nonzero(tilted)
    assert np.corrcoef(xs, ys)[0, 1] > 0.5  # down to the right


def test_boxes_are_filled_only_if_asked_for(tmp_path):
    box = '<box label="dent" xtl="3" ytl="2" xbr="9" ybr="5.2"/>'
    dataset = write_cvat(tmp_path, of_image(box))
    assert refusals(dataset, "a.png") == [
        ("annotations.xml", 3, "box: a box, not an outline; 'boxes: fill' reads boxes as filled rectangles")
    ]
    filled = write_cvat(tmp_path, of_image(box), boxes="fill")
    np.testing.assert_array_equal(read_masks(filled, "a.png")[0], rectangle(2, 5, 3, 9))
    turned = write_cvat(tmp_path, of_image(box.replace("/>", ' rotation="20"/>')), boxes="fill")
    assert refusals(turned, "a.png")[0][2] == "box: a box that is rotated; draw it as a polygon in CVAT"


@pytest.mark.parametrize(
    ("element", "problem"),
    [
        ('<polyline label="dent" points="1,1;5,5"/>', "polyline: has no area or is not read; draw it as a polygon"),
        ('<star label="dent" points="1,1"/>', "star: has no area or is not read"),
        ('<points label="dent" points="1,1"/>', "points: has no area or is not read"),
        (RING.replace("dent", "Dent"), "polygon: class 'Dent' is not in classes: dent, stain; did you mean 'dent'?"),
        (RING.replace('label="dent"', ""), "polygon: class '' is not in classes"),
        ('<polygon label="dent" points="2,2;80,2;8,8"/>', "polygon: polygon leaves the image: x = 80"),
        ('<polygon label="dent" points="2,2;8;8,8"/>', "polygon: points must be pairs 'x,y;x,y;...', got '2,2;8;8,8'"),
        ('<polygon label="dent" points="2,2;a,2;8,8"/>', "polygon: 'a' is not a number"),
        ('<polygon label="dent"/>', "polygon: lacks the attribute points"),
        ('<mask label="dent" rle="0,5" left="0" top="0" width="2" height="2"/>', "mask: rle must be lengths from 0 up"),
        ('<mask label="dent" rle="0,4" left="39" top="0" width="2" height="2"/>', "mask: mask leaves the image"),
        (
            '<mask label="dent" rle="0,4" left="0" top="0" width="99999999" height="99999999"/>',
            "mask: mask of 99999999 x 99999999 pixels does not fit into the image of 24 x 40",
        ),
        ('<ellipse label="dent" cx="1" cy="1" rx="-1" ry="1"/>', "ellipse: ellipse needs finite numbers and radii"),
    ],
)
def test_bad_shapes(tmp_path, element, problem):
    ((file, row, found),) = refusals(write_cvat(tmp_path, of_image(RING, element)), "a.png")
    assert (file, row) == ("annotations.xml", 4)
    assert found.startswith(problem)


def test_a_slip_of_the_mouse_costs_no_image(tmp_path):
    labels = READERS["cvat_images"](write_cvat(tmp_path, of_image(RING, '<polygon label="dent" points="1,1;2,2"/>')))
    assert drawn(labels, "a.png")[0].sum() == 36
    assert [(note.sample, note.finding) for note in labels.notes] == [("a.png", "shape left out")]


def test_images_and_entries_without_partner(tmp_path):
    text = of_image(RING) + "\n" + of_image().replace("a.png", "lot/ä.png") + "\n" + of_image()
    dataset = write_cvat(tmp_path, text, ["a.png", "b.png", "lot2/ä.png"])
    assert told(dataset) == {
        ("lot/ä.png", "image 'lot/ä.png' is not in images; did you mean 'lot2/ä.png'?"),
        ("a.png", "image 'a.png' is listed twice, the first time in annotations.xml"),
        ("b.png", "is not listed in annotations.xml"),
        ("lot2/ä.png", "is not listed in annotations.xml"),
    }
    clean = write_cvat(tmp_path, of_image(RING), ["a.png", "b.png"], clean_folders=["."])
    assert not any(problem.sample == "b.png" for problem in READERS["cvat_images"](clean).problems)


def test_a_task_without_any_shape_says_nothing(tmp_path):
    ((sample, problem),) = told(write_cvat(tmp_path, of_image()))
    assert sample == "a.png"
    assert problem.startswith("no image of annotations.xml has a label, so it is not known to be clean")


def test_an_image_that_is_called_defective_without_a_shape_is_not_clean(tmp_path):
    tag = '<tag label="dent" source="manual"></tag>'
    ((_, _, problem),) = refusals(write_cvat(tmp_path, of_image(tag)), "a.png")
    assert problem == "the image as a whole is called dent, but no shape shows where it is"
    assert read_masks(write_cvat(tmp_path, of_image(tag, RING)), "a.png").any()
    assert not read_masks(write_cvat(tmp_path, of_image('<tag label="seen"/>')), "a.png").any()


def test_labels_of_another_size(tmp_path):
    dataset = write_cvat(tmp_path, of_image(RING).replace(f'width="{WIDTH}"', 'width="7"'))
    assert refusals(dataset, "a.png")[0][2] == "labels are for 24 x 7 pixels, their image has 24 x 40"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<track/>", "row 2: has tracks of a video; export as 'CVAT for images 1.1'"),
        ('<image name="a.png" width="3"/>', "row 2: <image> lacks height"),
        ('<image name="a.png" width="3" height="x"/>', "'x' is not a number"),
        ("<image", "not well-formed"),
    ],
)
def test_other_xml_files_are_refused(tmp_path, text, problem):
    with pytest.raises(LabelFileError, match=f"annotations.xml: not a file of CVAT for images: .*{problem}"):
        READERS["cvat_images"](write_cvat(tmp_path, text))


def test_entities_are_refused(tmp_path):
    dataset = write_cvat(tmp_path, of_image(RING))
    bomb = '<!DOCTYPE a [<!ENTITY b "cccccccccc"><!ENTITY d "&b;&b;&b;">]><annotations>&d;</annotations>'
    (tmp_path / "annotations.xml").write_text(bomb)
    with pytest.raises(LabelFileError, match="has a document type definition, which CVAT does not write"):
        READERS["cvat_images"](dataset)


def write_cvat_masks(root, pixels: np.ndarray, label_map: str):
    write_image(root / "JPEGImages" / "a.png")
    (root / "SegmentationClass").mkdir(exist_ok=True)
    Image.fromarray(pixels).save(root / "SegmentationClass" / "a.png")
    (root / "labelmap.txt").write_text(label_map)
    return FORMATS["cvat_masks"](name="parts", format="cvat_masks", root=root, classes=CLASSES)


MAP = "\ufeff# label:color_rgb:parts:actions\nbackground:0,0,0::\ndent:1,2,3::\nstain:3,2,1::\nScratch: a:9,9,9::\n"


def test_label_maps_say_what_a_colour_is(tmp_path):
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[2:5, 3:9], pixels[10:, 20:] = (1, 2, 3), (3, 2, 1)
    dataset = write_cvat_masks(tmp_path, pixels, MAP)
    np.testing.assert_array_equal(
        read_masks(dataset, "a.png"), [rectangle(2, 5, 3, 9), rectangle(10, HEIGHT, 20, WIDTH)]
    )
    pixels[0, 0] = 9
    ((file, _, problem),) = refusals(write_cvat_masks(tmp_path, pixels, MAP), "a.png")
    assert file == "SegmentationClass/a.png"
    assert problem == "mask has the labels Scratch: a, which are not in classes: dent, stain"
    pixels[0, 0] = 8
    ((_, _, problem),) = refusals(write_cvat_masks(tmp_path, pixels, MAP), "a.png")
    assert problem == "mask has the colours [8, 8, 8], which are not in the label map"


@pytest.mark.parametrize(
    ("label_map", "problem"),
    [
        (MAP.replace("dent", "Dent"), r"dataset.classes has others: \['dent'\]; did you mean 'Dent'\?"),
        (MAP.replace("3,2,1", "1,2,3"), "row 4: the labels 'dent' and 'stain' have one colour"),
        (MAP.replace("stain", "dent"), "row 4: the label 'dent' is there twice"),
        (MAP.replace("3,2,1", "3,2,300"), "row 4: must be 'name:red,green,blue:parts:actions'"),
        (MAP.replace("3,2,1", ""), "row 4: must be"),
        (MAP.replace("background:0,0,0", "background:5,5,5").replace("1,2,3", "0,0,0"), "'dent' is black"),
    ],
)
def test_bad_label_maps(tmp_path, label_map, problem):
    dataset = write_cvat_masks(tmp_path, np.zeros((HEIGHT, WIDTH, 3), np.uint8), label_map)
    with pytest.raises(LabelFileError, match=problem):
        READERS["cvat_masks"](dataset)
    (tmp_path / "labelmap.txt").unlink()
    assert dataset.missing() == [f"dataset.label_map: no such file: {tmp_path / 'labelmap.txt'}"]

"""Labels that annotation tools write for pictures as viewers show them, where the files are stored otherwise."""

import json

import numpy as np
import pytest
from foreign_datasets import CLASSES
from PIL import Image
from written_by_tools import brush_code, labelme_file

from defectbench.config.ingest import FORMATS
from defectbench.data.ingest import ingest

SIZE = (30, 20)  # height and width as shown
TURNED_RIGHT = 6  # EXIF: viewers turn the stored picture clockwise


def write_photo(path) -> np.ndarray:
    """Write a picture that is stored on its side; returns it as viewers show it."""
    shown = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)
    exif = Image.Exif()
    exif[0x0112] = TURNED_RIGHT
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rot90(shown).copy()).save(path, exif=exif)
    return shown


def write_cvat(root, mask: np.ndarray) -> None:
    size = 'width="20" height="30"'
    shape = '<mask label="dent" rle="0, 24" left="3" top="25" width="6" height="4"/>'
    (root / "annotations.xml").write_text(f'<annotations><image name="a.png" {size}>{shape}</image></annotations>')


def write_labelme(root, mask: np.ndarray) -> None:
    shape = {"label": "dent", "points": [[3, 25], [8, 28]], "shape_type": "rectangle"}
    content = labelme_file("a.png", [shape], imageHeight=30, imageWidth=20)
    (root / "images" / "a.json").write_text(json.dumps(content))


def write_label_studio(root, mask: np.ndarray) -> None:
    value = {"format": "rle", "rle": brush_code(mask, literal=False), "brushlabels": ["dent"]}
    region = {"id": "r", "type": "brushlabels", "original_width": 20, "original_height": 30, "value": value}
    (root / "tasks.json").write_text(
        json.dumps([{"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": [region]}]}])
    )


def write_voc(root, mask: np.ndarray) -> None:
    (root / "SegmentationClass").mkdir()
    Image.fromarray(mask).save(root / "SegmentationClass" / "a.png")


WRITERS = {
    "cvat_images": write_cvat,
    "labelme": write_labelme,
    "label_studio": write_label_studio,
    "pascal_voc": write_voc,
}


@pytest.mark.parametrize("form", WRITERS)
def test_the_sizes_in_the_labels_tell_how_the_picture_was_shown(tmp_path, form):
    write_photo(tmp_path / "images" / "a.png")
    mask = np.zeros(SIZE, np.uint8)
    mask[25:29, 3:9] = 1
    WRITERS[form](tmp_path, mask)
    dataset = FORMATS[form](name="parts", format=form, root=tmp_path, images_dir="images", classes=CLASSES)
    manifest, *_ = ingest(dataset, tmp_path / "found.csv", threads=1)
    (row,) = manifest.frame.itertuples()
    assert (row.height, row.width) == SIZE
    np.testing.assert_array_equal(manifest.masks(row), [mask, 0 * mask])

"""Pictures that viewers turn by their EXIF data: whose orientation the labels have."""

import numpy as np
import pytest
from foreign_datasets import (
    RING,
    annotation,
    polygon,
    write_coco,
    write_supervisely,
    write_yolo,
)
from ingested import index_mask, read
from PIL import Image
from small_datasets import HEIGHT, WIDTH, write_masks

from defectbench.data.audit import audit
from defectbench.data.ingest import BadSamplesError


def write_turned(path, orientation: int) -> np.ndarray:
    """An image that viewers turn; returns what they show."""
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return {3: pixels[::-1, ::-1], 6: np.rot90(pixels, -1)}[orientation]


def turned_masks(root, upright: bool):
    dataset = write_masks(root, {"a": index_mask(1).T.copy() if upright else index_mask(1)})
    write_turned(root / "images/a.png", 6)
    return dataset


def turned_coco(root, upright: bool):
    size = {"height": WIDTH, "width": HEIGHT} if upright else {"height": HEIGHT, "width": WIDTH}
    dataset = write_coco(root, [annotation(1, [RING])], n_images=1, images=[{"id": 0, "file_name": "0.png"} | size])
    write_turned(root / "images/0.png", 6)
    return dataset


def turned_supervisely(root, upright: bool):
    size = {"height": WIDTH, "width": HEIGHT} if upright else {"height": HEIGHT, "width": WIDTH}
    dataset = write_supervisely(root, {"a.png": [polygon([[1, 1], [9, 1], [9, 9]])]}, size=size)
    write_turned(root / "img/a.png", 6)
    return dataset


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("write", [turned_masks, turned_coco, turned_supervisely])
def test_sizes_of_labels_tell_whose_orientation_they_have(tmp_path, write, upright):
    found = read(write(tmp_path, upright), tmp_path)
    (row,) = found.manifest.frame.itertuples()
    assert (row.height, row.width) == ((WIDTH, HEIGHT) if upright else (HEIGHT, WIDTH))
    assert found.manifest.masks(row).any()
    kinds = set(audit(found.manifest, found.notes).findings["finding"])
    assert ("turned upright" in kinds, "rotated by EXIF" in kinds) == (upright, not upright)


def test_where_sizes_do_not_tell_the_orientation_is_asked_for(tmp_path):
    dataset = write_yolo(tmp_path, {"images/a.png": "0 0 0 0.1 0 0.1 0.1"})
    write_turned(tmp_path / "images/a.png", 6)
    with pytest.raises(BadSamplesError, match=r"set dataset.exif to stored or upright"):
        read(dataset, tmp_path)
    for exif, size in (("stored", (HEIGHT, WIDTH)), ("upright", (WIDTH, HEIGHT))):
        (row,) = read(dataset.model_copy(update={"exif": exif}), tmp_path).manifest.frame.itertuples()
        assert (row.height, row.width) == size


def test_half_a_turn_is_asked_for_in_any_format(tmp_path):
    dataset = write_masks(tmp_path, {"a": index_mask(1)})
    write_turned(tmp_path / "images/a.png", 3)
    with pytest.raises(BadSamplesError, match=r"set dataset.exif"):
        read(dataset, tmp_path)

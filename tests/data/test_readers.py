"""The table of label readers, and damaged files of every format."""

import contextlib
import json
import tempfile
from pathlib import Path

import pytest
from exported_datasets import EXPORTED, write_exported
from foreign_datasets import (
    COLOURS,
    RING,
    SQUARE,
    annotation,
    bitmap,
    colour_mask,
    compressed,
    line,
    polygon,
    shape,
    uncompressed,
    write_coco,
    write_old_severstal,
    write_supervisely,
    write_yolo,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_datasets import HEIGHT, WIDTH, drawn, write_masks, write_severstal

from defectbench.config.dataset import DatasetSettings
from defectbench.config.ingest import FORMATS
from defectbench.data.readers import READERS, ROW_READERS
from defectbench.data.readers.base import BadLabels, image_ids
from defectbench.script import UserError


def test_every_format_has_a_reader():
    assert READERS.keys() == {name for name, settings in FORMATS.items() if settings.has_images}
    assert ROW_READERS.keys() == FORMATS.keys() - READERS.keys()


def write_colour_masks(root: Path) -> DatasetSettings:
    return write_masks(root, {"a": colour_mask(), "b": 0 * colour_mask()}, mask_kind="colour", colours=COLOURS)


WHOLE = {
    "severstal": lambda root: write_severstal(root, ["0.png,1,1 5", "1.png,,", "2.png,3,100 7 300 9"]),
    "severstal_old": lambda root: write_old_severstal(root, ["0.png_1,1 5", "1.png_2,", "2.png_3,100 7 300 9"]),
    "mask_folder": write_colour_masks,
    "supervisely": lambda root: write_supervisely(
        root, {"lot/a.png": [bitmap(shape()), polygon([[1, 1], [9, 1], [9, 9]])], "lot/b.png": []}
    ),
    "yolo": lambda root: write_yolo(
        root, {"images/a.png": line(0, *SQUARE) + "1 0.5 0.5 0.1 0.1\n", "images/b.png": ""}, boxes="fill"
    ),
    "coco": lambda root: write_coco(
        root, [annotation(1, [RING]), annotation(2, compressed(shape())), annotation(3, uncompressed(shape()))]
    ),
}
WHOLE |= {
    f"{form} by {writer}": lambda root, writer=writer, form=form: write_exported(root, writer, form)
    for writer, form in EXPORTED
    if form not in WHOLE
}
ODD_VALUES = [None, True, -1, 0, 2.5, 1e300, 10**30, float("nan"), "", "dent", [], [[]], {}, {"size": 1}]


def damage_bytes(data: st.DataObject, content: bytes) -> bytes:
    """Cut, overwrite or insert somewhere."""
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(start + 40, len(content))))
    words = st.sampled_from([b"", b'"', b"-", b"99999", b"\xff\xfe", b"[" * 1000, b",", b"\n", b"nan", b"\0"])
    return content[:start] + data.draw(st.one_of(words, st.binary(max_size=8))) + content[end:]


def damage_tree(data: st.DataObject, tree: object) -> object:
    """Put an odd value somewhere into what a JSON file holds, or leave something out."""
    if isinstance(tree, dict | list) and tree and data.draw(st.integers(0, 5)):
        tree = tree.copy()
        key = data.draw(st.sampled_from(list(tree) if isinstance(tree, dict) else range(len(tree))))
        if data.draw(st.integers(0, 9)):
            tree[key] = damage_tree(data, tree[key])
        else:
            del tree[key]
        return tree
    return data.draw(st.sampled_from(ODD_VALUES))


@pytest.mark.parametrize("form", WHOLE)
@given(data=st.data())
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
def test_damaged_label_files_give_clear_errors(form, data):
    with tempfile.TemporaryDirectory() as folder:
        dataset = WHOLE[form](Path(folder))
        path = data.draw(st.sampled_from(dataset.label_files()))
        if path.suffix == ".json" and data.draw(st.booleans()):
            path.write_text(json.dumps(damage_tree(data, json.loads(path.read_text()))))
        else:
            path.write_bytes(damage_bytes(data, path.read_bytes()))
        with contextlib.suppress(UserError):
            labels = READERS[dataset.format](dataset)
            problems = list(labels.problems)
            for image_id in image_ids(dataset):
                try:
                    masks = drawn(labels, image_id)
                    assert masks.shape == (len(dataset.classes), HEIGHT, WIDTH)
                    assert masks.max() <= 1
                except BadLabels as error:
                    problems += error.problems
            assert all(problem.problem for problem in problems)

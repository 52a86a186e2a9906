"""The same dataset written differently is the same dataset, whatever the format, encoding, layout and kind of mask."""

from pathlib import Path

import numpy as np
import pytest
from written_by_tools import TOOL_VARIANTS
from written_differently import CLASSES, SHAPES, VARIANTS, Variant, picture, truth

from defectbench.config.ingest import FORMATS
from defectbench.data.images import decode_image
from defectbench.data.ingest import ingest


def stem_of(path: str) -> str:
    """lot1/01 of images/lot1/01.png, lot1/images/01.png and so on."""
    lot = next(part for part in Path(path).parts if part.startswith("lot"))
    return f"{lot}/{Path(path).stem}"


ALL = [*VARIANTS, *TOOL_VARIANTS]


@pytest.mark.parametrize("variant", ALL, ids=lambda variant: variant.name)
def test_every_variant_gives_the_same_images_and_masks(tmp_path, variant: Variant):
    root = tmp_path / "data"
    root.mkdir()
    values = {"name": "same", "format": variant.form, "root": root, "classes": CLASSES} | variant.write(root)
    dataset = FORMATS[variant.form](**values)
    assert dataset.missing() == []
    manifest, problems, notes = ingest(dataset, tmp_path / "found.csv", threads=1)
    assert problems == []
    assert manifest.class_names == tuple(CLASSES.values())[: variant.n_classes]
    rows = {stem_of(row.path): row for row in manifest.frame.itertuples()}
    assert rows.keys() == SHAPES.keys()
    for stem, row in rows.items():
        np.testing.assert_array_equal(decode_image((root / row.path).read_bytes())[..., 0], picture(stem), stem)
        np.testing.assert_array_equal(manifest.masks(row), truth(stem, variant.n_classes), stem)
    assert {note.finding for note in notes} == variant.noted


def test_there_are_hundreds_of_variants():
    assert len({variant.name for variant in ALL}) == len(ALL) > 300

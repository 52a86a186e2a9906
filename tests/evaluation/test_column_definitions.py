"""Definitions of the columns of results.csv: complete, unique, and none without a column."""

import subprocess
import sys

import pytest

from defectbench.evaluation.column_definitions import COLUMN_DEFINITIONS, NAME_PARTS, definition_of
from defectbench.evaluation.results import COLUMNS
from defectbench.metrics.names import DEFINITIONS


def test_every_column_has_a_definition_and_every_definition_a_column():
    defined = {definition_of(column).name for column in COLUMNS}
    assert defined == {definition.name for definition in COLUMN_DEFINITIONS}
    assert len(defined) == len(COLUMN_DEFINITIONS)


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("dice_all", "dice_all"),
        ("test_mIoU_hi", "mIoU"),
        ("val_IoU@50", "IoU@50"),
        ("recall_at_fp_0.5_at_0.5", "recall_at_fp_0.5"),
        ("cv_dice_all_sd", "dice_all"),
        ("val_AUPRC", "AUPRC"),
        ("cv_folds", "cv_folds"),
        ("test_ids_sha256", "test_ids_sha256"),
    ],
)
def test_a_column_is_defined_by_its_name_without_prefix_and_suffix(column, name):
    assert definition_of(column).name == name


def test_what_is_no_column_has_no_definition():
    with pytest.raises(KeyError):
        definition_of("iou")


def test_definitions_are_complete():
    for definition in COLUMN_DEFINITIONS:
        assert definition.description.endswith("."), definition.name
        assert definition.null_when, definition.name
    for metric in DEFINITIONS.values():
        assert metric.formula, metric.name
        assert metric.averaging, metric.name
        assert metric.value_range, metric.name


def test_every_name_part_occurs():
    for part in NAME_PARTS:
        assert any(name.startswith(part) if part.endswith("_") else name.endswith(part) for name in COLUMNS)


def test_definitions_do_not_need_torch():
    code = "import sys, defectbench.evaluation.column_definitions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

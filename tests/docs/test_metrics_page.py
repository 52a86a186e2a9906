"""docs/metrics.md is what the definitions of the metrics say."""

import importlib.util

import pytest
from tiny_study import ROOT

from defectbench.evaluation.column_definitions import COLUMN_DEFINITIONS

SPEC = importlib.util.spec_from_file_location("make_metrics", ROOT / "docs" / "make_metrics.py")
make_metrics = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_metrics)
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_page_is_up_to_date():
    assert make_metrics.reference() == PAGE, "run: python docs/make_metrics.py"


@pytest.mark.parametrize("definition", COLUMN_DEFINITIONS, ids=lambda definition: definition.name)
def test_every_definition_is_a_row_with_all_it_says(definition):
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{definition.name}` |")]
    for text in (definition.description, definition.formula, definition.averaging, definition.value_range):
        assert text in row
    assert definition.null_when in row or definition.null_when == "never"


def test_every_row_has_the_cells_of_its_table():
    for block in PAGE.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.strip().splitlines()}) == 1, block

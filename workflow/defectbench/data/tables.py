"""The project's own tables as CSV: splits, subsets, folds, issues, results.

A spreadsheet runs a cell that begins with = as a formula, whoever wrote it. So ' is written before what it could take
for one, and left out when the table is read. Files for other programs (submissions, exported labels) have names as they
are.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

# At the start of a cell, or of what is one where a program splits at ; or tabs and sees no quotes: blanks and quotes,
# the ' of this module, and a sign that begins a formula.
_FORMULA = re.compile(r"((?:^|[;\t\r\n])[\s\"]*)('*)(?=[=+\-@＝＋－＠])")


def mark_formulas(text: str) -> str:
    """``text`` with ' before all that a spreadsheet could take for a formula."""
    return _FORMULA.sub(r"\1'\2", text)


def unmark_formulas(text: str) -> str:
    """What :func:`mark_formulas` was given."""
    return _FORMULA.sub(lambda found: found[1] + found[2][1:], text) if "'" in text else text


def csv_text(table: pd.DataFrame) -> str:
    """``table`` without its index as CSV in which no text is a formula."""
    return _map_texts(table, mark_formulas).to_csv(index=False)


def read_unmarked(path: Path) -> pd.DataFrame:
    """A table for other programs, such as a submission, in which every cell is text and as it is."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def read_names(path: Path) -> pd.DataFrame:
    """A table in which every cell is text, such as split.csv: images, groups and classes may be called NA or 007."""
    return _map_texts(read_unmarked(path), unmark_formulas)


def read_table(path: Path) -> pd.DataFrame:
    """A table of names and numbers, in which an empty cell alone is missing: names may be NA, None or null."""
    return _map_texts(pd.read_csv(path, keep_default_na=False, na_values=[""]), unmark_formulas)


def _map_texts(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """``table`` with every text changed, names of columns too."""

    def changed(cell: object) -> object:
        return change(cell) if isinstance(cell, str) else cell

    mapped = table.copy(deep=False)
    for name, column in table.items():
        if not is_numeric_dtype(column):
            # Not map, which makes numbers beside missing ones floats.
            mapped[name] = pd.Series([changed(cell) for cell in column], column.index, column.dtype)
    return mapped.rename(columns=changed)

"""The project's own tables as CSV: splits, subsets, folds, issues, results.

A spreadsheet runs a cell that begins with = as a formula, whoever wrote it. So a text that could be taken for one is
written with ' in front, and read without it. Files for other programs (submissions, exported labels) have names as they
are.
"""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
"""How a text begins that is taken for a formula, or that was marked as none."""
_FORMULA_WITHIN = re.compile(r"[;\t]\s*[=+\-@＝＋－＠]")
"""A formula where a program splits cells at ; or tabs; not in cells with quotes around them."""


def mark_formula(text: str) -> str:
    """``text``, with ' in front if it begins like a formula; :func:`unmark_formula` takes that off."""
    return f"'{text}" if _FORMULA.match(text) else text


def unmark_formula(text: str) -> str:
    """What :func:`mark_formula` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def csv_text(table: pd.DataFrame) -> str:
    """``table`` without its index as CSV in which no text is a formula."""
    marked = _map_texts(table, mark_formula)
    texts = [*marked, *(cell for _, column in _texts(marked) for cell in column)]
    is_split = any(isinstance(text, str) and _FORMULA_WITHIN.search(text) for text in texts)
    return marked.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC if is_split else csv.QUOTE_MINIMAL)


def read_names(path: Path) -> pd.DataFrame:
    """A table in which every cell is text, such as split.csv: images, groups and classes may be called NA or 007."""
    return _map_texts(pd.read_csv(path, dtype=str, keep_default_na=False), unmark_formula)


def read_table(path: Path) -> pd.DataFrame:
    """A table of names and numbers, in which an empty cell alone is missing: names may be NA, None or null."""
    return _map_texts(pd.read_csv(path, keep_default_na=False, na_values=[""]), unmark_formula)


def _map_texts(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    changed = table.rename(columns=lambda name: change(name) if isinstance(name, str) else name)
    for name, column in _texts(changed):
        changed[name] = column.map(lambda cell: change(cell) if isinstance(cell, str) else cell)
    return changed


def _texts(table: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    """The columns that may hold text."""
    return [(name, column) for name, column in table.items() if not pd.api.types.is_numeric_dtype(column)]

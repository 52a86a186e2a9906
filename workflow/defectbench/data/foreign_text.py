"""Reading of other people's text: label files, tables and numbers as programs and people save them."""

import codecs
import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from defectbench.data.preview import preview_list

# In this order: the mark of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
MAX_SHOWN = 200
"""Characters of a name that a message shows."""
_SEPARATORS = ",;\t"
# Each digit can be read in one way only: else a long cell that is no number would take quadratic time.
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NO_VALUE = frozenset({"", "-1", "-1.0", "nan", "na", "n/a", "<na>", "none", "null"})


class TextError(ValueError):
    """Text that cannot be read: what is wrong with it, and where."""


def read_text(path: Path) -> str:
    """Content of a text file in UTF-8, with or without a byte order mark, or in UTF-16 or UTF-32 with one.

    Raises:
        TextError: if it is in another encoding: which one cannot be known, and a guess would change names; or if it is
            a pipe or device, which might never end.
        OSError: if it cannot be read.
    """
    if path.exists() and not path.is_file():
        raise TextError("not a file but a folder, pipe, socket or device")
    return decode_text(path.read_bytes())


def decode_text(data: bytes) -> str:
    """Text of the bytes of a file; see :func:`read_text`."""
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    try:
        text = data[len(mark) :].decode(_MARKS.get(mark, "utf-8"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        kind = _MARKS.get(mark, "utf-8").upper()
        raise TextError(f"not {kind} text (line {line}); save it as UTF-8") from None
    if "\0" in text:
        raise TextError("not text, or text in UTF-16 without a byte order mark; save it as UTF-8")
    return text


def parse_number(text: str) -> float:
    """A number with a decimal point.

    Raises:
        TextError: if it is none, or beyond the range of numbers.
    """
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        comma = "; write a point, not a comma" if _NUMBER.fullmatch(text.replace(",", ".")) else ""
        raise TextError(f"{shorten(text)!r} is not a number{comma}")
    value = float(text)
    if abs(value) == float("inf"):
        raise TextError(f"{shorten(text)!r} is too large")
    return value


def parse_whole(text: str) -> int:
    """A whole number, also as tools write it where a column has gaps or all is saved as floats: 3.0, 0.000e+00.

    Raises:
        TextError: if it is none.
    """
    value = parse_number(text)
    if value != int(value):
        raise TextError(f"{shorten(text)!r} is not a whole number")
    return int(value)


def shorten(text: str, length: int = 40) -> str:
    """``text`` cut to ``length`` characters, to be shown in a message."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def has_no_value(text: str) -> bool:
    """Whether a cell is empty, or holds what tools write for nothing: -1, NaN, None, ..."""
    return text.strip().lower() in _NO_VALUE


def read_table(path: Path, needed: Sequence[str] = ()) -> pd.DataFrame:
    """A table of text with a header, separated by commas, semicolons or tabs, as programs and spreadsheets save it.

    The separator is the one that gives the ``needed`` columns, else the most frequent one of the header.

    Returns:
        All cells as text without outer blanks, missing ones as ''; the index is the row, counted from 1 with the
        header. Rows without any content are left out.

    Raises:
        TextError: naming the row, if the text cannot be read, a row is longer or shorter than the header, or two
            columns share a name.
        OSError: if the file cannot be read.
    """
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")  # a lone CR: old spreadsheets of Macs
    csv.field_size_limit(sys.maxsize)  # a code may be longer than the default of 131,072 characters
    separator = _find_separator(text, needed)
    rows = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    content, numbers = [], []
    try:
        header = [cell.strip() for cell in next(rows, [])]
        _check_header(header)
        for number, row in enumerate(rows, start=2):
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if len(cells) < len(header) or any(cells[len(header) :]):
                raise TextError(
                    f"row {number} has {len(cells)} cells, the header {len(header)}: {shorten(separator.join(cells))}"
                )
            content.append(cells[: len(header)])
            numbers.append(number)
    except csv.Error as error:
        raise TextError(f"cannot be read as a table: {error}") from None
    return pd.DataFrame(content, columns=header, index=numbers, dtype=str)


def _check_header(header: Sequence[str]) -> None:
    uses = Counter(name for name in header if name)
    if not uses:
        raise TextError("has no header")
    if several := sorted(shorten(name) for name, count in uses.items() if count > 1):
        raise TextError(f"two columns have one name: {preview_list(several)}")


def _find_separator(text: str, needed: Sequence[str]) -> str:
    header = text.lstrip("\n").split("\n", 1)[0]

    def score(separator: str) -> tuple[int, int]:
        cells = [cell.strip() for cell in next(csv.reader([header], delimiter=separator), [])]
        return len({*needed} & {*cells}), len(cells)

    return max(_SEPARATORS, key=score)

"""Markdown in which names and sentences are text: they make no links, pictures, HTML, formulas or headings."""

import re
import textwrap
from collections.abc import Sequence

from defectbench.printable import printable

WIDTH = 120
# Only where a sign would have an effect: the pages are read in terminals, too. HTML is left to entities, since not all
# renderers take a backslash before <.
_ENTITIES = {"<": "&lt;", "&": "&amp;"}
_SPECIAL = re.compile(
    r"""
    [\\`*|~$]                           # code, emphasis, cells, strike-through, formulas
    | (?<!\w)_ | _(?!\w)                # emphasis; within a word it is none
    | \](?=[\[(]) | ^\[(?=[^\]]*\]:)    # links, pictures, and where they lead
    | :(?=//) | (?<=\bwww)\.            # addresses
    | <(?=[A-Za-z/!?]) | &(?=\#?\w+;)   # HTML, entities
    """,
    re.VERBOSE,
)
_LINE_START = re.compile(r"([#>]|[-+](?=\s|$)|=+$|-+$|\d+(?=[.)](?:\s|$)))")


def as_text(text: str) -> str:
    """``text`` on one line, as Markdown that shows it as it is within a line."""
    line = printable(text).replace("\n", " ")
    return _plain_start(_SPECIAL.sub(lambda sign: _ENTITIES.get(sign[0], f"\\{sign[0]}"), line))


def paragraph(text: str, bullet: str = "") -> str:
    """Markdown ``text`` in lines of at most WIDTH characters, behind a ``bullet``; no line begins a heading or list."""
    lines = textwrap.wrap(text, WIDTH - len(bullet), break_on_hyphens=False)
    indents = [bullet, *[" " * len(bullet)] * len(lines)]
    return "\n".join(indent + _plain_start(line) for indent, line in zip(indents, lines, strict=False))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align ``rows`` under ``header``, all Markdown: the first column to the left, the others to the right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(3, *map(len, column)) for column in columns]  # at least that of a rule, --:
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [_pad(header, widths), rule, *(_pad(row, widths) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _pad(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))]


def _plain_start(line: str) -> str:
    start = _LINE_START.match(line)
    if start is None:
        return line
    if start[0].isdigit():
        return f"{start[0]}\\{line[start.end() :]}"
    return f"\\{line}"

"""Style of all plots: type, layout, and files that are the same, byte for byte, for the same numbers."""

import functools
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.ticker import LogLocator, NullFormatter

from defectbench.files import atomic
from defectbench.reporting.palette import FAINT, INK, MUTED

TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 14, 10, 8.5
LINE = 0.19  # inches from one line of text to the next
MARGIN = 0.3  # inches
LEGEND_ROW, LEGEND_TITLE = 0.28, 1.1  # inches of one row, and of the title before the rows
DPI = 160
NARROW = 300  # a logarithmic axis whose end is fewer times its start has ticks at 2 and 5 as well

FONT = "DejaVu Sans"  # comes with matplotlib: the same on every machine
_RC = {
    "font.family": FONT,
    "font.size": TEXT_SIZE,
    "text.color": INK,
    "text.parse_math": False,  # images and classes may have names with $, which are no formulas
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "svg.hashsalt": "defectbench",
    "savefig.dpi": "figure",
}

Look = dict[str, Any]
"""Keyword arguments of a matplotlib artist"""

# A decorator: functions that draw a figure use these settings and leave matplotlib's as they were.
house_style = matplotlib.rc_context(_RC)


def text_width(texts: Iterable[str], size: float = TEXT_SIZE) -> float:
    """Inches that the widest of ``texts`` takes."""
    return max((_text_width(text, size) for text in texts), default=0.0)


@functools.cache
@house_style
def _text_width(text: str, size: float) -> float:
    path = TextPath((0, 0), text, size=size, prop=FontProperties(family=FONT))
    return float(path.get_extents().x1) / 72


def shorten(text: str, width: float, size: float = TEXT_SIZE) -> str:
    """``text``, its middle replaced by an ellipsis if wider than ``width`` inches: names differ at both ends."""
    short, n_kept = text, len(text)
    while text_width([short], size) > width and n_kept > 1:
        n_kept -= 1
        short = f"{text[: n_kept - n_kept // 2].rstrip(' ,')}…{text[len(text) - n_kept // 2 :].lstrip(' ,')}"
    return short


def wrap(paragraphs: Iterable[str], width: float, size: float = TEXT_SIZE) -> list[str]:
    """Lines of ``paragraphs``, none wider than about ``width`` inches."""
    characters = int(width / (0.55 * size / 72))
    return [line for paragraph in paragraphs for line in textwrap.wrap(paragraph, characters)]


def heading_height(lines: Sequence[str]) -> float:
    """Inches that a title and ``lines`` below it take, with the margin above them."""
    return MARGIN + 0.32 + LINE * len(lines)


def draw_heading(figure: Figure, title: str, lines: Sequence[str], top: float = 0.0) -> None:
    """Write the title, ``top`` inches and the margin from the figure's top, and the explanation below it."""
    write(figure, MARGIN, top + MARGIN, title, fontsize=TITLE_SIZE, fontweight="bold")
    for i, line in enumerate(lines):
        write(figure, MARGIN, top + MARGIN + 0.32 + LINE * i, line, color=MUTED)


def write(figure: Figure, left: float, top: float, text: str, **text_style: Any) -> None:
    """Write one line of text, the top of its letters at inches from the figure's left and top."""
    width, height = figure.get_size_inches()
    size = text_style.get("fontsize", TEXT_SIZE)
    # From the baseline, so that letters with and without descenders are on one line.
    figure.text(left / width, 1 - (top + 0.78 * size / 72) / height, text, va="baseline", **text_style)


def legend_rows(entries: Sequence[tuple[str, str]], width: float) -> list[list[tuple[float, str, str]]]:
    """Place legend entries (colour, name) in rows of at most ``width`` inches: (inches from the left, colour, name)."""
    rows: list[list[tuple[float, str, str]]] = [[]]
    left = 0.0
    for colour, name in entries:
        entry_width = text_width([name]) + 0.45
        if rows[-1] and left + entry_width > width:
            rows.append([])
            left = 0.0
        rows[-1].append((left, colour, name))
        left += entry_width
    return rows


def draw_legend(figure: Figure, top: float, title: str, rows: Sequence[Sequence[tuple[float, str, str]]]) -> None:
    """Write a legend's rows at ``top`` inches after its title, each name behind a square of its colour."""
    write(figure, MARGIN, top + 0.03, title)
    for i, row in enumerate(rows):
        for left, colour, name in row:
            start, line = MARGIN + LEGEND_TITLE + left, top + LEGEND_ROW * i
            write(figure, start, line, "■", color=colour, fontsize=TITLE_SIZE)
            write(figure, start + 0.2, line + 0.03, name)


def add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes placed in inches from the figure's left and top."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def axis_limits(values: pd.DataFrame) -> tuple[float, float]:
    """The range of an axis for all of ``values``, with a little space at both ends."""
    low, high = float(values.min(axis=None)), float(values.max(axis=None))
    space = max(0.04 * (high - low), 0.01)
    return low - space, high + space


def label_log_axis(axes: Axes, label: str | Callable[[float, float], str]) -> None:
    """Make the x axis logarithmic, with ``label`` at round values; matplotlib's own would be formulas."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < NARROW else (1,)))
    axes.xaxis.set_major_formatter(label)
    axes.xaxis.set_minor_formatter(NullFormatter())


@house_style
def message_figure(title: str, text: str) -> Figure:
    """A small figure that explains why there is nothing to see."""
    lines = wrap([text], 7.4)
    figure = Figure(figsize=(8, heading_height(lines) + MARGIN), dpi=DPI)
    draw_heading(figure, title, lines)
    return figure


@house_style
def save(figure: Figure, *paths: Path) -> None:
    """Write ``figure`` to each of ``paths``, in the format of its suffix, without dates and versions."""
    unset = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}
    for path in paths:
        with atomic(path) as temporary:
            figure.savefig(temporary, metadata=unset[path.suffix])

"""Sheets of pictures: for each of some test images, tiles with captions side by side."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from defectbench.metrics.counts import dice
from defectbench.reporting.image_choice import Shown, choose
from defectbench.reporting.plots import style
from defectbench.reporting.records import Record

WIDTH, GAP, CAPTION = 10.0, 0.15, 0.24  # inches
_TITLE_ROW, _LEGEND_TITLE = 0.32, 1.2


class Tile(Protocol):
    """A picture, (H, W, 3) uint8, and what is written above it."""

    caption: str
    picture: np.ndarray


T = TypeVar("T", bound=Tile)
Entries = Sequence[tuple[str, str]]
"""Colours and their names."""


def one_of_each(records: Sequence[Record]) -> list[Shown]:
    """The first image of each kind of :func:`choose`, by Dice of ``records``, which saw the same test images."""
    columns, defective = {}, pd.Series(dtype=bool)
    for record in records:
        rows = record.counts().set_index("image_id")
        columns[record.exp_id] = pd.Series(dice(*(rows[name].to_numpy() for name in ("tp", "fp", "fn"))), rows.index)
        defective = rows["n_truth"] > 0
    firsts: dict[str, Shown] = {}
    for item in choose(pd.DataFrame(columns), defective):
        firsts.setdefault(item.why, item)
    return list(firsts.values())


def sheet(
    title: str,
    text: str,
    legends: dict[str, Entries],
    rows: Sequence[tuple[Shown, Sequence[T | None]]],
    show: Callable[[Axes, T], None],
) -> Figure:
    """A figure of ``rows``, each the tiles of one image; None leaves a place free. ``show`` draws a tile's picture."""
    height, width = np.max([tiles[0].picture.shape[:2] for _, tiles in rows], axis=0)
    n_columns = 2 if width > 2 * height else 4
    across = (WIDTH - 2 * style.MARGIN - GAP * (n_columns - 1)) / n_columns
    down = across * height / width
    lines = style.wrapped([text], WIDTH - 2 * style.MARGIN)
    named = {name: style.legend_rows(own, WIDTH - 2 * style.MARGIN - _LEGEND_TITLE) for name, own in legends.items()}
    top = style.heading_height(lines) + 0.08
    start = top + style.LEGEND_ROW * sum(map(len, named.values())) + 0.1
    heights = [_TITLE_ROW + -(-len(tiles) // n_columns) * (down + CAPTION + GAP) + 0.1 for _, tiles in rows]
    figure = Figure(figsize=(WIDTH, start + sum(heights)), dpi=style.DPI)
    style.heading(figure, title, lines)
    for name, own in named.items():
        style.legend(figure, top, name, own)
        top += style.LEGEND_ROW * len(own)
    for (item, tiles), of_row in zip(rows, heights, strict=True):
        style.write(figure, style.MARGIN, start, f"{item.image_id}: {item.why}", fontweight="bold")
        for k, tile in enumerate(tiles):
            if tile is None:
                continue
            left = style.MARGIN + k % n_columns * (across + GAP)
            above = start + _TITLE_ROW + k // n_columns * (down + CAPTION + GAP)
            text = style.shortened(tile.caption, across, style.SMALL_SIZE)
            style.write(figure, left, above, text, fontsize=style.SMALL_SIZE)
            axes = style.add_axes(figure, left, above + CAPTION, across, down)
            show(axes, tile)
            axes.set_axis_off()
        start += of_row
    return figure

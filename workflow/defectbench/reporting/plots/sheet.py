"""Sheets of pictures: a row of tiles with captions for each test image."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from defectbench.metrics.counts import dice
from defectbench.reporting.image_choice import SelectedImage, select_images
from defectbench.reporting.plots import style
from defectbench.reporting.records import Record

WIDTH, GAP, CAPTION = 10.0, 0.15, 0.24  # inches
_TITLE_ROW, _LEGEND_TITLE = 0.32, 1.2


class Tile(Protocol):
    """A picture, (H, W, 3) uint8, and the text above it."""

    @property
    def caption(self) -> str: ...  # noqa: D102

    @property
    def picture(self) -> np.ndarray: ...  # noqa: D102


T = TypeVar("T", bound=Tile)
Entries = Sequence[tuple[str, str]]
"""Colours and their names."""


def first_of_each_kind(records: Sequence[Record]) -> list[SelectedImage]:
    """The first image of each kind of :func:`select_images`, by Dice of ``records`` of the same test images."""
    columns: dict[str, pd.Series] = {}
    defective = pd.Series(dtype=bool)
    for record in records:
        rows = record.counts().set_index("image_id")
        columns[record.exp_id] = pd.Series(dice(*(rows[name].to_numpy() for name in ("tp", "fp", "fn"))), rows.index)
        defective = rows["n_truth"] > 0
    firsts: dict[str, SelectedImage] = {}
    for item in select_images(pd.DataFrame(columns), defective):
        firsts.setdefault(item.reason, item)
    return list(firsts.values())


def sheet_figure(
    title: str,
    text: str,
    legends: Mapping[str, Entries],
    rows: Sequence[tuple[SelectedImage, Sequence[T | None]]],
    draw_tile: Callable[[Axes, T], None],
) -> Figure:
    """A figure of ``rows``, each the tiles of one image; None leaves a gap. ``draw_tile`` draws a tile's picture."""
    height, width = np.max([next(filter(None, tiles)).picture.shape[:2] for _, tiles in rows], axis=0)
    n_columns = 2 if width > 2 * height else 4
    across = (WIDTH - 2 * style.MARGIN - GAP * (n_columns - 1)) / n_columns
    down = across * height / width
    lines = style.wrap([text], WIDTH - 2 * style.MARGIN)
    legend_rows = {
        name: style.legend_rows(entries, WIDTH - 2 * style.MARGIN - _LEGEND_TITLE) for name, entries in legends.items()
    }
    top = style.heading_height(lines) + 0.08
    start = top + style.LEGEND_ROW * sum(map(len, legend_rows.values())) + 0.1
    heights = [_TITLE_ROW + -(-len(tiles) // n_columns) * (down + CAPTION + GAP) + 0.1 for _, tiles in rows]
    figure = Figure(figsize=(WIDTH, start + sum(heights)), dpi=style.DPI)
    style.draw_heading(figure, title, lines)
    for name, entries in legend_rows.items():
        style.draw_legend(figure, top, name, entries)
        top += style.LEGEND_ROW * len(entries)
    for (item, tiles), height_of_row in zip(rows, heights, strict=True):
        style.write(figure, style.MARGIN, start, f"{item.image_id}: {item.reason}", fontweight="bold")
        for k, tile in enumerate(tiles):
            if tile is None:
                continue
            left = style.MARGIN + k % n_columns * (across + GAP)
            above = start + _TITLE_ROW + k // n_columns * (down + CAPTION + GAP)
            text = style.shorten(tile.caption, across, style.SMALL_SIZE)
            style.write(figure, left, above, text, fontsize=style.SMALL_SIZE)
            axes = style.add_axes(figure, left, above + CAPTION, across, down)
            draw_tile(axes, tile)
            axes.set_axis_off()
        start += height_of_row
    return figure

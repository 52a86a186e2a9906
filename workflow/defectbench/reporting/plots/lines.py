"""Figures of curves: a row of panels per track, each curve with its band, and a list of their names."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.reporting.plots import style, words
from defectbench.reporting.records import Record

WIDTH, HEIGHT = 10.0, 3.6  # inches; the height is that of a panel's axes
LEFT, BETWEEN, BELOW = 0.85, 0.95, 0.7
MOST_CURVES = 8  # more cannot be told apart
TRACKS = {"automatic": "Automatic track", "oracle": "Oracle track", "reference": "Reference"}
# By track, so that curves of reference methods are told from those of models in print too.
DASHES = {"automatic": "-", "oracle": (0, (6, 2)), "reference": (0, (1.5, 1.5))}
_STYLES = ("-", (0, (7, 2)), (0, (4, 1.5, 1, 1.5)), (0, (2.5, 1.5)))


@dataclass(frozen=True)
class Curve:
    """One line: x, y and the bounds of its band, all (n,); NaN where it is not defined."""

    record: Record
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    marked: tuple[float, float] | None = None
    """A point of the curve that is marked"""
    points: bool = False
    """Whether x are few places, each with a dot and a bar, rather than a line with a band"""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    x_label: str
    y_label: str
    curves: Sequence[Curve]
    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] | None = (0.0, 1.02)
    diagonal: bool = False


@dataclass(frozen=True)
class Row:
    """The panels of one track, and what else is to be said of them."""

    track: str
    panels: Sequence[Panel]
    n_hidden: int = 0
    notes: Sequence[str] = field(default_factory=tuple)


def best_of(records: Sequence[Record], track: str, most: int = MOST_CURVES) -> tuple[list[Record], int]:
    """The ``most`` experiments of a track with the highest primary metric, best first, and how many were left out.

    An experiment of several seeds is ranked by its mean and stands for itself with the first seed, not the luckiest.
    """
    metric = PRIMARY[track]
    seeds: dict[str, list[Record]] = {}
    for record in records:
        if record.row["track"] == track and record.row[metric] is not None:
            seeds.setdefault(record.row["experiment"], []).append(record)
    means = {name: sum(record.row[metric] for record in own) / len(own) for name, own in seeds.items()}
    ordered = sorted(seeds, key=lambda name: -means[name])
    return [seeds[name][0] for name in ordered[:most]], max(len(ordered) - most, 0)


@style.house_style
def lines_figure(title: str, texts: Sequence[str], rows: Sequence[Row], nothing: str) -> Figure:
    """Draw ``rows`` below a title and ``texts``; ``nothing`` says why there is nothing to see without rows."""
    if not rows:
        return style.message(title, nothing)
    heads = [style.wrapped(_said(row, texts if i == 0 else ()), WIDTH - 2 * style.MARGIN) for i, row in enumerate(rows)]
    listed = [_entries(row) for row in rows]
    heights = [
        style.heading_height(head) + 0.15 + HEIGHT + BELOW + style.LEGEND_ROW * len(names) + 0.15
        for head, names in zip(heads, listed, strict=True)
    ]
    figure = Figure(figsize=(WIDTH, sum(heights)), dpi=style.DPI)
    top = 0.0
    for i, (row, head, names, height) in enumerate(zip(rows, heads, listed, heights, strict=True)):
        style.heading(figure, title if i == 0 else f"{title}: {TRACKS[row.track].lower()}", head, top)
        start = top + style.heading_height(head) + 0.15
        width = (WIDTH - LEFT - style.MARGIN - BETWEEN * (len(row.panels) - 1)) / len(row.panels)
        width = min(width, 5.6)
        for k, panel in enumerate(row.panels):
            axes = style.add_axes(figure, LEFT + k * (width + BETWEEN), start, width, HEIGHT)
            _draw(axes, panel, looks(row))
        _write_names(figure, start + HEIGHT + BELOW, names)
        top += height
    return figure


def looks(row: Row) -> dict[str, dict[str, object]]:
    """Colour and line style of each curve by experiment: families by colour, their members by dashes too."""
    records = list(dict.fromkeys(curve.record.exp_id for panel in row.panels for curve in panel.curves))
    by_id = {curve.record.exp_id: curve.record for panel in row.panels for curve in panel.curves}
    own = [by_id[exp_id] for exp_id in records if by_id[exp_id].row["track"] != "reference"]
    hues = style.series_colours([record.row["family"] for record in own], [record.exp_id for record in own])
    found: dict[str, dict[str, object]] = {}
    for k, record in enumerate(own):
        found[record.exp_id] = {"color": hues[record.exp_id], "linestyle": _STYLES[k // 2 % len(_STYLES)]}
    for exp_id in records:
        if exp_id not in found:
            found[exp_id] = {"color": style.MUTED, "linestyle": DASHES["reference"]}
    return found


def _said(row: Row, texts: Sequence[str]) -> list[str]:
    said = [*texts, *row.notes]
    if row.track == "oracle":
        said.append(words.ORACLE)
    if row.n_hidden:
        said.append(f"Shown are the best; {row.n_hidden:,} more experiments of the track are not.")
    if any("+" in curve.record.row["experiment"].rpartition("_s")[2] for panel in row.panels for curve in panel.curves):
        said.append("Of experiments with several seeds the first is shown.")
    return said


def _draw(axes: Axes, panel: Panel, look: dict[str, dict[str, object]]) -> None:
    if panel.diagonal:
        axes.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.9, linestyle=(0, (2, 3)), zorder=0.5)
    for curve in panel.curves:
        own, gid = look[curve.record.exp_id], curve.record.exp_id
        if curve.points:
            bars = {"color": own["color"], "linewidth": 1.6, "alpha": 0.45}
            if curve.low is not None:
                axes.vlines(curve.x, curve.low, curve.high, **bars, gid=f"band {gid}")
            axes.plot(curve.x, curve.y, "o", markersize=4, linewidth=1, **own, gid=f"curve {gid}")
            continue
        if curve.low is not None:
            axes.fill_between(
                curve.x, curve.low, curve.high, color=own["color"], alpha=0.13, linewidth=0, gid=f"band {gid}"
            )
        axes.plot(curve.x, curve.y, linewidth=1.7, **own, gid=f"curve {gid}")
        if curve.marked:
            axes.plot(*curve.marked, "o", color=own["color"], markeredgecolor="white", zorder=3, gid=f"marked {gid}")
    axes.set_xlim(*panel.x_range)
    if panel.y_range:
        axes.set_ylim(*panel.y_range)
    axes.grid(axis="y")
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)


def _entries(row: Row) -> list[tuple[dict[str, object], str]]:
    look = looks(row)
    names = {curve.record.exp_id: curve.record.name for panel in row.panels for curve in panel.curves}
    return [(look[exp_id], style.shortened(name, WIDTH - LEFT - 1.2)) for exp_id, name in names.items()]


def _write_names(figure: Figure, top: float, names: Sequence[tuple[dict[str, object], str]]) -> None:
    """Write the names below the panels, a line each, behind a sample of the curve."""
    axes = style.add_axes(figure, LEFT, top, 0.6, style.LEGEND_ROW * len(names))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(len(names), 0)
    for k, (look, name) in enumerate(names):
        axes.plot([0.05, 0.9], [k + 0.5, k + 0.5], linewidth=2.2, **look)
        style.write(figure, LEFT + 0.7, top + style.LEGEND_ROW * k + 0.06, name)

"""Figures of curves: a row of panels per track, each curve with its band, and a legend of their names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from defectbench.evaluation.image_scores import PRIMARY
from defectbench.reporting import palette, words
from defectbench.reporting.plots import style
from defectbench.reporting.records import Record

WIDTH, HEIGHT = 10.0, 3.6  # inches; the height is that of a panel's axes
LEFT, BETWEEN, BELOW = 0.85, 0.95, 0.7
SINGLE_WIDTH = 5.0  # inches: width of a single panel, with the names beside it
SAMPLE, NAME_GAP = 0.7, 0.09  # inches of a curve's sample before its name, and between two names
MOST_CURVES = 8  # more are not distinguishable
_STYLES = ("-", (0, (7, 2)), (0, (4, 1.5, 1, 1.5)), (0, (2.5, 1.5)))


@dataclass(frozen=True)
class Curve:
    """One line: x, y and the bounds of its band, all (n,); NaN where undefined."""

    record: Record
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    marked: tuple[float, float] | None = None
    """A point of the curve that is marked"""
    points: bool = False
    """Whether to draw dots with bars at few x rather than a line with a band"""
    note: str = ""
    """Text behind its name"""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    x_label: str
    y_label: str
    curves: Sequence[Curve]
    x_range: tuple[float, float] = (0.0, 1.0)
    # A little more than [0, 1], so that a curve along an edge is visible.
    y_range: tuple[float, float] | None = (-0.02, 1.02)
    diagonal: bool = False
    in_steps: bool = False
    """Whether x is in whole numbers"""
    logarithmic: bool = False
    """Whether the axis of y is logarithmic"""


@dataclass(frozen=True)
class Row:
    """The panels of one track."""

    track: str
    panels: Sequence[Panel]
    n_hidden: int = 0


def best_of(records: Sequence[Record], track: str, limit: int = MOST_CURVES) -> tuple[list[Record], int]:
    """The ``most`` experiments of a track with the highest primary metric, best first, and how many were left out.

    An experiment of several seeds is ranked by its mean and represented by its first seed, not the luckiest.
    """
    metric = PRIMARY[track]
    seeds: dict[str, list[Record]] = {}
    for record in records:
        if record.row["track"] == track and record.row[metric] is not None:
            seeds.setdefault(record.row["experiment"], []).append(record)
    means = {name: sum(record.row[metric] for record in of_seeds) / len(of_seeds) for name, of_seeds in seeds.items()}
    ordered = sorted(seeds, key=lambda name: -means[name])
    return [seeds[name][0] for name in ordered[:limit]], max(len(ordered) - limit, 0)


def with_track(record: Record) -> str:
    """The name of an experiment, prefixed with its track if that is the oracle track."""
    return f"oracle: {record.name}" if record.row["track"] == "oracle" else record.name


def hues_of(records: Sequence[Record]) -> dict[str, str]:
    """A colour for each family of a study's ``records``."""
    return palette.family_colours([r.row["family"] for r in records], [r.row["track"] for r in records])


@style.house_style
def lines_figure(
    title: str, texts: Sequence[str], rows: Sequence[Row], nothing: str, hues: Mapping[str, str]
) -> Figure:
    """Draw ``rows`` below a title and ``texts``; ``nothing`` is the message if there are no rows.

    ``hues`` are the colours of the study's families.
    """
    if not rows:
        return style.message_figure(title, nothing)
    headings = [
        style.wrap(_explanations(row, texts if i == 0 else ()), WIDTH - 2 * style.MARGIN) for i, row in enumerate(rows)
    ]
    entries = [_legend_entries(row, curve_styles(row, hues)) for row in rows]
    heights = [
        style.heading_height(heading) + 0.15 + _body_height(row, names) + 0.15
        for row, heading, names in zip(rows, headings, entries, strict=True)
    ]
    figure = Figure(figsize=(WIDTH, sum(heights)), dpi=style.DPI)
    top = 0.0
    for i, (row, heading, names, height) in enumerate(zip(rows, headings, entries, heights, strict=True)):
        style.draw_heading(figure, title if i == 0 else f"{title}: {row.track} track", heading, top)
        start = top + style.heading_height(heading) + 0.15
        width = SINGLE_WIDTH
        if len(row.panels) > 1:
            width = (WIDTH - LEFT - style.MARGIN - BETWEEN * (len(row.panels) - 1)) / len(row.panels)
        for k, panel in enumerate(row.panels):
            axes = style.add_axes(figure, LEFT + k * (width + BETWEEN), start, width, HEIGHT)
            _draw(axes, panel, curve_styles(row, hues))
        place = (LEFT + SINGLE_WIDTH + 0.35, start) if len(row.panels) == 1 else (LEFT, start + HEIGHT + BELOW)
        _write_names(figure, *place, names)
        top += height
    return figure


def curve_styles(row: Row, hues: Mapping[str, str]) -> dict[str, style.Look]:
    """Colour and line style of each curve by experiment: families by colour, their members by shades and dashes."""
    family_of = {curve.record.exp_id: curve.record.row["family"] for panel in row.panels for curve in panel.curves}
    colours = palette.series_colours(hues, list(family_of.values()), list(family_of))
    members = {family: [name for name in family_of if family_of[name] == family] for family in family_of.values()}
    return {
        name: {"color": colours[name], "linestyle": _STYLES[members[family].index(name) % len(_STYLES)]}
        for name, family in family_of.items()
    }


def _explanations(row: Row, texts: Sequence[str]) -> list[str]:
    sentences = list(texts)
    if row.track == "oracle":
        sentences.append(words.ORACLE)
    if row.n_hidden:
        sentences.append(f"Shown are the best; of the track's experiments {row.n_hidden:,} more are not.")
    if any("+" in curve.record.row["experiment"].rpartition("_s")[2] for panel in row.panels for curve in panel.curves):
        sentences.append("Of experiments with several seeds the first is shown.")
    return sentences


def _draw(axes: Axes, panel: Panel, styles: dict[str, style.Look]) -> None:
    if panel.diagonal:
        axes.plot([0, 1], [0, 1], color=palette.MUTED, linewidth=0.9, linestyle=(0, (2, 3)), zorder=0.5)
    for curve in panel.curves:
        curve_style, gid = styles[curve.record.exp_id], curve.record.exp_id
        if curve.points:
            bar_style: style.Look = {"color": curve_style["color"], "linewidth": 1.6, "alpha": 0.45}
            if curve.low is not None and curve.high is not None:
                axes.vlines(curve.x, curve.low, curve.high, **bar_style, gid=f"band {gid}")
            axes.plot(curve.x, curve.y, "o", markersize=4, linewidth=1, **curve_style, gid=f"curve {gid}")
            continue
        if curve.low is not None and curve.high is not None:
            axes.fill_between(
                curve.x, curve.low, curve.high, color=curve_style["color"], alpha=0.13, linewidth=0, gid=f"band {gid}"
            )
        axes.plot(curve.x, curve.y, linewidth=1.7, **curve_style, gid=f"curve {gid}")
        if curve.marked:
            dot_style: style.Look = {
                "color": curve_style["color"],
                "markeredgecolor": "white",
                "zorder": 3,
                "clip_on": False,
            }
            axes.plot(*curve.marked, "o", **dot_style, gid=f"marked {gid}")
    axes.set_xlim(*panel.x_range)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=panel.in_steps))
    if panel.y_range:
        axes.set_ylim(*panel.y_range)
    if panel.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)


def _legend_entries(row: Row, styles: Mapping[str, style.Look]) -> list[tuple[style.Look, list[str]]]:
    """Look and name of each curve, the name in lines that fit below the panels or beside a single one."""
    notes = {curve.record.exp_id: (curve.record.name, curve.note) for panel in row.panels for curve in panel.curves}
    width = WIDTH - LEFT - style.MARGIN - SAMPLE - (SINGLE_WIDTH + 0.35 if len(row.panels) == 1 else 0)
    return [(styles[exp_id], style.wrap([": ".join(filter(None, texts))], width)) for exp_id, texts in notes.items()]


def _body_height(row: Row, names: Sequence[tuple[style.Look, list[str]]]) -> float:
    """Inches of the panels and names of a row."""
    of_names = sum(style.LINE * len(lines) + NAME_GAP for _, lines in names)
    if len(row.panels) == 1:
        return max(HEIGHT + BELOW - 0.15, of_names)
    return HEIGHT + BELOW + of_names


def _write_names(figure: Figure, left: float, top: float, names: Sequence[tuple[style.Look, list[str]]]) -> None:
    """Write the names downwards from ``left`` and ``top``, inches, each behind a sample of its curve."""
    for curve_style, lines in names:
        axes = style.add_axes(figure, left, top, SAMPLE - 0.1, style.LINE + NAME_GAP)
        axes.set_axis_off()
        axes.set_xlim(0, 1)
        axes.plot([0.05, 0.9], [0, 0], linewidth=2.2, **curve_style)
        for k, line in enumerate(lines):
            style.write(figure, left + SAMPLE, top + 0.06 + style.LINE * k, line)
        top += style.LINE * len(lines) + NAME_GAP

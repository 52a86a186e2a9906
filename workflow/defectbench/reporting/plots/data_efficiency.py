"""Plot of data efficiency: value against the number of labelled training images."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from defectbench.evaluation.statistics import FEWEST_GROUPS
from defectbench.reporting import palette, power_law, words
from defectbench.reporting.plots import style

WIDTH, HEIGHT = 10.0, 4.4  # inches; the height is that of one panel's axes
LEFT, BELOW = 0.85, 0.75  # inches from the axes to the edges
LONGEST_NAME = 3.6
LEADER = 0.3  # inches between the axes and the names beside them
NEAR = 0.85  # share of the axis from which a point is joined with its name
# Shares of the axis: series are shifted by DODGE, so that their bars do not overlap, but all within WITHIN.
DODGE, WITHIN = 0.012, 0.05

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
METRIC_OF_TRACK = {"automatic": "dice_all", "oracle": "test_Dice"}
TITLES = {"automatic": "How many labels are needed", "oracle": "How many labels are needed: oracle track"}


@dataclass(frozen=True)
class Panel:
    """One track: the trained experiments, and the levels of those without training labels."""

    track: str
    metric: str
    trained: pd.DataFrame
    levels: pd.DataFrame
    curves: pd.DataFrame
    """Points of the fitted power laws"""
    enough: pd.DataFrame
    """Rows of data_efficiency.csv with a number of labels that is nearly enough"""
    hues: dict[str, str]
    """Colour of each family"""

    def explanations(self) -> list[str]:
        """Sentences that explain the panel."""
        texts = [words.describe_metric(self.metric, self.trained)]
        if self.track == "oracle":
            texts.append(words.ORACLE)
        by_size = self.trained.groupby(["series", "n_labels_train"]).size()
        points = "Point: one training with its 95 % confidence interval."
        unfitted = by_size.drop(index=self.curves["series"].unique(), errors="ignore")
        if (unfitted > 1).any():
            points += " Line: mean over seeds."
        if len(self.levels):
            points += " Dashed: no labels, or reference."
        if by_size.groupby("series").size().max() == 1:
            points += " No model was trained on two numbers of labels yet, so no lines."
        if len(self.curves):
            points += " Smooth line: power law of the error fitted to three numbers of labels or more"
            tested = self.curves.groupby("series")["score_lo"].count() > 0
            if tested.any():
                points += "; band: its pointwise 95 % interval over trainings and test images"
            if not tested.all():
                points += (
                    f"; thin and without a band: described, not tested, for want of {power_law.FEWEST_SEEDS} seeds at "
                    f"every number of labels or of {FEWEST_GROUPS} groups of test images"
                )
            points += "."
        if len(self.enough):
            points += " Diamond and bar: labels for 95 % of the fitted score with all labels, 95 % interval."
        points += " The labels of the val images, which choose checkpoints and thresholds, come on top."
        return [*texts, points]

    def names(self) -> dict[str, str]:
        """Name of each series beside the axes."""
        rows = pd.concat([self.trained, self.levels])
        return {
            series: style.shorten(label, LONGEST_NAME)
            for series, label in zip(rows["series"], rows["series_label"], strict=True)
        }


@dataclass(frozen=True)
class Mark:
    """A name beside the axes, and the point (x, y) that it belongs to."""

    name: str
    colour: str
    marker: str
    x: float
    y: float


@style.house_style
def data_efficiency_figure(results: pd.DataFrame, curves: pd.DataFrame, fits: pd.DataFrame) -> Figure:
    """Draw the rows of results.parquet against their numbers of labels, a line per series, a panel per track.

    ``curves`` are the rows of data_efficiency_curves.csv: a fitted curve replaces the line through the means.
    ``fits`` are the rows of data_efficiency.csv: how many labels are nearly enough.
    """
    panels = [_panel(results, curves, fits, track) for track in METRIC_OF_TRACK]
    panels = [panel for panel in panels if len(panel.trained)]
    if not panels:
        return style.message_figure(TITLES["automatic"], "No experiment of this study was trained on labels.")
    texts = [style.wrap(panel.explanations(), WIDTH - 2 * style.MARGIN) for panel in panels]
    tops = [style.heading_height(lines) + 0.15 for lines in texts]
    figure = Figure(figsize=(WIDTH, sum(tops) + len(panels) * (HEIGHT + BELOW)), dpi=style.DPI)
    start = 0.0
    for panel, lines, top in zip(panels, texts, tops, strict=True):
        style.draw_heading(figure, TITLES[panel.track], lines, start)
        width = WIDTH - LEFT - LEADER - 0.1 - style.text_width(panel.names().values()) - style.MARGIN
        _draw(style.add_axes(figure, LEFT, start + top, width, HEIGHT), panel)
        start += top + HEIGHT + BELOW
    return figure


def _panel(table: pd.DataFrame, curves: pd.DataFrame, fits: pd.DataFrame, track: str) -> Panel:
    metric = METRIC_OF_TRACK[track]
    rows = words.label_rows(table, track, metric).dropna(subset="n_labels_train")
    with_labels = rows["n_labels_train"] > 0
    levels = rows[~with_labels]
    if track == "automatic":
        levels = pd.concat([levels, words.label_rows(table, "reference", metric)])
    trained = rows[with_labels]
    hues = palette.family_colours(table["family"], table["track"])
    curves, fits = (rows[rows["series"].isin(trained["series"])] for rows in (curves, fits))
    # As in findings.md: only where a test shows that the error falls.
    shown = [power_law.is_shown(row) for row in fits.to_dict("records")]
    enough = fits[np.array(shown, bool) & fits["n_enough"].notna()]
    return Panel(track, metric, trained, levels, curves, enough, hues)


def _draw(axes: Axes, panel: Panel) -> None:
    _scales(axes, panel)
    names = panel.names()
    coloured = pd.concat([panel.trained, panel.levels[panel.levels["track"] == panel.track]]).sort_index()
    colours = palette.series_colours(panel.hues, coloured["family"].tolist(), coloured["series"].tolist())
    marks = []
    groups = list(panel.trained.groupby("series", sort=False))
    for i, (series, rows) in enumerate(groups):
        shift = _span(axes) ** (min(DODGE, WITHIN / len(groups)) * (i - (len(groups) - 1) / 2))
        marker = MARKERS[i % len(MARKERS)]
        law = panel.curves[panel.curves["series"] == series]
        x, y = _draw_series(axes, rows, panel.metric, shift, colours[series], marker, joined=law.empty)
        if len(law):
            tested = law["score_lo"].notna().all()
            if tested:
                curve = law["n_labels"], law["score_lo"], law["score_hi"]
                axes.fill_between(*curve, color=colours[series], alpha=0.12, linewidth=0, gid=f"band {series}")
            width = 1.8 if tested else 0.8
            axes.plot(law["n_labels"], law["score"], color=colours[series], linewidth=width, gid=f"fit {series}")
            for fit in panel.enough[panel.enough["series"] == series].to_dict("records"):
                _draw_enough(axes, law, fit, colours[series])
        marks.append(Mark(names[series], colours[series], marker, x, y))
    for row in panel.levels.to_dict("records"):
        y, colour = row[panel.metric], colours.get(row["series"], palette.MUTED)
        axes.axhline(y, color=colour, linewidth=1.2, linestyle=(0, (4, 3)), gid=f"level {row['exp_id']}")
        marks.append(Mark(names[row["series"]], colour, "_", axes.get_xlim()[1], y))
    _write_names(axes, marks)


def _draw_series(
    axes: Axes, rows: pd.DataFrame, metric: str, shift: float, colour: str, marker: str, *, joined: bool
) -> tuple[float, float]:
    """Draw one series and return its right end."""
    x, y = rows["n_labels_train"].to_numpy(float) * shift, rows[metric].to_numpy(float)
    low, high = (rows[f"{metric}_{end}"].to_numpy(float, na_value=np.nan) for end in ("lo", "hi"))
    series = rows["series"].iloc[0]
    axes.vlines(x, low, high, color=colour, linewidth=2.2, alpha=0.4, gid=f"interval {series}")
    axes.plot(x, y, marker, color=colour, markersize=7, markeredgecolor="white", gid=f"value {series}")
    means = rows.groupby("n_labels_train")[metric].mean()
    if joined and len(means) > 1:
        axes.plot(means.index.to_numpy(float) * shift, means, color=colour, linewidth=1.8, gid=f"mean {series}")
    return float(means.index[-1]) * shift, float(means.iloc[-1])


def _draw_enough(axes: Axes, law: pd.DataFrame, fit: dict, colour: str) -> None:
    """Mark where the fitted line reaches 95 % of its last score, and the interval of that number of labels."""
    n = fit["n_enough"]
    y = float(np.interp(n, law["n_labels"], law["score"]))
    if pd.notna(fit["n_enough_lo"]):
        axes.hlines(y, fit["n_enough_lo"], fit["n_enough_hi"], color=colour, linewidth=1.4, linestyle=(0, (2, 1)))
    marker_style: style.Look = {
        "color": "white",
        "markeredgecolor": colour,
        "markeredgewidth": 1.6,
        "markersize": 8,
        "zorder": 4,
    }
    axes.plot(n, y, "D", **marker_style, gid=f"enough {fit['series']}")
    background: style.Look = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}
    text_style: style.Look = {"ha": "center", "fontsize": style.SMALL_SIZE, "bbox": background}
    axes.annotate(f"{n:,.0f}", (n, y), (0, -16), textcoords="offset points", **text_style)


def _scales(axes: Axes, panel: Panel) -> None:
    sizes = np.unique(panel.trained["n_labels_train"].to_numpy(float))
    axes.set_xscale("log")
    around = max(1.15, (sizes[-1] / sizes[0]) ** 0.06)
    axes.set_xlim(sizes[0] / around, sizes[-1] * around)
    axes.xaxis.set_major_locator(FixedLocator(sizes.tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(sizes, _tick_labels(sizes, _span(axes)))
    names = [panel.metric, f"{panel.metric}_lo", f"{panel.metric}_hi"]
    axes.set_ylim(*style.axis_limits(pd.concat([panel.trained, panel.levels])[names]))
    axes.grid(axis="y")
    axes.set_xlabel("labelled training images (logarithmic)")
    axes.set_ylabel(words.TITLES[panel.metric])


def _tick_labels(sizes: np.ndarray, span: float) -> list[str]:
    """A label for each size, from the largest down, empty where it would touch the previous one."""
    labels, last = [], np.inf
    for size in sizes[::-1]:
        free = np.log(last / size) / np.log(span) > 0.07
        labels.append(f"{size:,.0f}" if free else "")
        last = size if free else last
    return labels[::-1]


def _span(axes: Axes) -> float:
    low, high = axes.get_xlim()
    return high / low


def _write_names(axes: Axes, marks: list[Mark]) -> None:
    """Write the names right of the axes, each with its marker, and a thin line to its point if that is near."""
    low, high = axes.get_ylim()
    box = axes.get_window_extent()
    width, height = box.width / axes.figure.dpi, box.height / axes.figure.dpi
    places = spread([(mark.y - low) / (high - low) for mark in marks], min(style.LINE / height, 1 / len(marks)))
    for mark, place in zip(marks, places, strict=True):
        beside = (1 + LEADER / width, place)
        # From further left the thin lines would cross: there marker and colour have to suffice.
        if (axes.transScale + axes.transLimits).transform((mark.x, mark.y))[0] > NEAR:
            line = {"arrowstyle": "-", "color": mark.colour, "linewidth": 0.7, "alpha": 0.6, "shrinkA": 0, "shrinkB": 5}
            axes.annotate("", (mark.x, mark.y), beside, "data", "axes fraction", line, annotation_clip=False)
        axes.plot(*beside, mark.marker, color=mark.colour, transform=axes.transAxes, clip_on=False)
        axes.annotate(
            mark.name, beside, (7, 0), "axes fraction", "offset points", va="center_baseline", annotation_clip=False
        )


def spread(places: list[float], gap: float) -> list[float]:
    """``places`` in [0, 1] moved apart, in order and within [0, 1], until no two are nearer than ``gap``.

    Minimises the sum of squared moves; ``gap`` is at most 1/(number of places).
    """
    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(len(places))
    # Bounded isotonic regression: after taking off the gaps, places may be equal but not out of order.
    blocks: list[tuple[float, int]] = []
    for place in np.asarray(places)[order] - steps:
        mean, n = place, 1
        while blocks and blocks[-1][0] > mean:
            other, m = blocks.pop()
            mean, n = (other * m + mean * n) / (m + n), m + n
        blocks.append((mean, n))
    regular = [mean for mean, n in blocks for _ in range(n)]
    moved = np.empty(len(places))
    moved[order] = np.clip(regular, 0, 1 - steps[-1]) + steps
    return moved.tolist()

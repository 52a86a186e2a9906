"""Plot of IoU by size and by class of the defects."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from defectbench.config.base import MERGED
from defectbench.metrics.counts import iou
from defectbench.reporting import palette
from defectbench.reporting.plots import style
from defectbench.reporting.plots.band import bootstrap_of
from defectbench.reporting.plots.lines import best_of, hues_of
from defectbench.reporting.records import Record

TITLE = "IoU by size and by class of the defects"
WIDTH, HEIGHT = 10.0, 2.9  # inches; the height is that of a panel's axes
LEFT, BELOW = 0.85, 0.85
MOST_MODELS = 6  # side by side
VISIBLE_HEIGHT = 0.01  # least height of a bar that can be seen
# Label of a group of bars -> mean, lower and upper bound of each experiment; NaN where it has no image.
Groups = dict[str, list[tuple[float, float, float]]]


@style.house_style
def by_class_figure(records: Sequence[Record]) -> Figure:
    """Draw mean IoU of the best automatic experiments in quartiles of true area and, if they have classes, by class."""
    best_records, n_hidden = best_of(records, "automatic", MOST_MODELS)
    if not best_records:
        return style.message_figure(TITLE, "No experiment of the automatic track has a value of dice_all.")
    with_classes = [record for record in best_records if record.metrics["per_class"]]
    panels = [(best_records, _by_size(best_records), "quartile of true area (pixels)")]
    if with_classes:
        panels.append((with_classes, _by_class(with_classes), "class"))
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return style.message_figure(TITLE, "No test image is defective.")
    texts = [
        "Mean IoU over defective test images, merged masks by size, each class by itself. Whiskers: 95 % intervals "
        "over groups of test images.",
    ]
    if not with_classes:
        texts[0] += " None of these models tells classes apart."
    if n_hidden:
        texts.append(f"Shown are the {len(best_records)} best of the automatic track; {n_hidden:,} more are not.")
    lines = style.wrap(texts, WIDTH - 2 * style.MARGIN)
    top = style.heading_height(lines) + 0.1
    height = top + len(panels) * (HEIGHT + BELOW) + style.LEGEND_ROW * len(best_records) + 0.15
    figure = Figure(figsize=(WIDTH, height), dpi=style.DPI)
    style.draw_heading(figure, TITLE, lines)
    families, ids = zip(*((record.row["family"], record.exp_id) for record in best_records), strict=True)
    hues = palette.series_colours(hues_of(records), families, ids)
    for members, groups, label in panels:
        axes = style.add_axes(figure, LEFT, top, WIDTH - LEFT - style.MARGIN, HEIGHT)
        _draw(axes, [(record, hues[record.exp_id]) for record in members], groups, label)
        top += HEIGHT + BELOW
    for k, record in enumerate(best_records):
        at = top + style.LEGEND_ROW * k
        style.write(figure, LEFT, at - 0.03, "■", color=hues[record.exp_id], fontsize=style.TITLE_SIZE)
        style.write(figure, LEFT + 0.25, at, style.shorten(record.name, WIDTH - LEFT - 1))
    return figure


def _by_size(records: Sequence[Record]) -> Groups:
    groups: Groups = {}
    for record in records:
        edges = record.metrics["by_size"]["edges"]
        counts = record.counts()
        counts = counts[counts["n_truth"] > 0]
        quartile = np.searchsorted(edges[1:4], counts["n_truth"].to_numpy(), side="left")
        for q in range(4 if edges else 0):
            part = counts[quartile == q]
            label = f"{edges[q] if q == 0 else edges[q] + 1:,} – {edges[q + 1]:,}\n{len(part)} images"
            groups.setdefault(label, []).append(_mean(part))
    return groups


def _by_class(records: Sequence[Record]) -> Groups:
    groups: Groups = {}
    names = dict.fromkeys(name for record in records for name in record.metrics["per_class"] if name != MERGED)
    for name in names:
        parts = [record.counts(name=name) for record in records]
        parts = [part[part["n_truth"] > 0] for part in parts]
        groups[f"{name}\n{max(map(len, parts))} images"] = [_mean(part) for part in parts]
    return groups


def _mean(counts: pd.DataFrame) -> tuple[float, float, float]:
    if counts.empty:
        return np.nan, np.nan, np.nan
    values = iou(*(counts[name].to_numpy() for name in ("tp", "fp", "fn")))
    bootstrap = bootstrap_of(counts["group"].to_numpy())
    return float(values.mean()), *bootstrap.interval(values, 0, 1)


def _draw(axes: Axes, coloured_records: Sequence[tuple[Record, str]], groups: Groups, label: str) -> None:
    width = 0.8 / len(coloured_records)
    for k, (record, colour) in enumerate(coloured_records):
        x = np.arange(len(groups)) + width * (k - (len(coloured_records) - 1) / 2)
        mean, low, high = np.array([values[k] for values in groups.values()]).T
        axes.bar(x, mean, 0.9 * width, color=colour, gid=f"bars {record.exp_id}")
        axes.vlines(x, low, high, color=palette.INK, linewidth=1.1, gid=f"interval {record.exp_id}")
        for place, value in zip(x, mean, strict=True):
            if value < VISIBLE_HEIGHT:  # an invisible bar looks like a missing one
                text_style: style.Look = {"ha": "center", "color": colour, "fontsize": style.SMALL_SIZE}
                axes.annotate(f"{value:.2f}", (place, value), (0, 3), textcoords="offset points", **text_style)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.tick_params(axis="x", length=0)
    axes.set_ylim(0, 1)
    axes.grid(axis="y")
    axes.set_ylabel("mean IoU")
    axes.set_xlabel(label)

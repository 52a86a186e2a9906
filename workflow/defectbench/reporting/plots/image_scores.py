"""What lies behind a mean: the distribution of IoU over the defective test images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.metrics.counts import iou
from defectbench.reporting import palette, words
from defectbench.reporting.plots import style
from defectbench.reporting.plots.band import DRAWS, SEED
from defectbench.reporting.plots.lines import best_of, hues_of, with_track
from defectbench.reporting.records import Record

TITLE = "IoU of every defective test image"
WIDTH, ROW = 10.0, 0.42  # inches
LONGEST = 3.6
MOST = 20
BELOW = 0.75


@style.house_style
def image_scores_figure(records: Sequence[Record]) -> Figure:
    """Draw the distribution of IoU per image, a row per experiment, the best of each track; oracle models below."""
    shown, hidden = [], 0
    for track in ("automatic", "oracle"):
        own, n = best_of(records, track, MOST)
        shown, hidden = shown + own, hidden + n
    values = {record.exp_id: _values(record) for record in shown}
    shown = [record for record in shown if len(values[record.exp_id])]
    if not shown:
        return style.message(TITLE, "No trained experiment has a defective test image.")
    texts = [
        "Boxes hold half of the images, then half of the rest, and so on; line inside: median. White dot and bar: mean "
        "IoU with its 95 % interval. Right: share of images with IoU 0."
    ]
    if any(record.row["track"] == "oracle" for record in shown):
        texts.append(f"Oracle track, marked: {words.ORACLE}")
    if hidden:
        texts.append(f"Shown are the best; {hidden:,} more experiments are not.")
    lines = style.wrapped(texts, WIDTH - 2 * style.MARGIN)
    top, height = style.heading_height(lines) + 0.35, ROW * len(shown)
    figure = Figure(figsize=(WIDTH, top + height + BELOW), dpi=style.DPI)
    style.heading(figure, TITLE, lines)
    names = {record.exp_id: _in_two_lines(with_track(record)) for record in shown}
    left = style.MARGIN + style.text_width(line for own in names.values() for line in own) + 0.25
    axes = style.add_axes(figure, left, top, WIDTH - left - 0.9, height)
    hues = hues_of(records)
    frame = pd.concat([values[r.exp_id].assign(experiment=r.exp_id, family=r.row["family"]) for r in shown])
    sns.boxenplot(
        frame,
        x="iou",
        y="experiment",
        hue="family",
        palette=hues,
        legend=False,
        width=0.7,
        saturation=1,
        showfliers=False,
        ax=axes,
    )
    for y, record in enumerate(shown):
        own = values[record.exp_id]
        mean = own["iou"].mean()
        bootstrap = GroupBootstrap(own["group"].to_numpy(str), DRAWS, SEED)
        low, high = bootstrap.interval(own["iou"].to_numpy(), 0, 1)
        axes.hlines(y, low, high, color="white", linewidth=3.4, zorder=4)
        axes.hlines(y, low, high, color=palette.INK, linewidth=1.4, zorder=5, gid=f"interval {record.exp_id}")
        look = {"color": "white", "markeredgecolor": palette.INK, "zorder": 6, "clip_on": False}
        axes.plot(mean, y, "o", **look, gid=f"value {record.exp_id}")
        where = {"xycoords": axes.get_yaxis_transform(), "va": "center_baseline"}
        inches = {"textcoords": "offset points", "annotation_clip": False}
        for line, text in enumerate(names[record.exp_id]):
            down = 72 * style.LINE * (line - (len(names[record.exp_id]) - 1) / 2)
            axes.annotate(text, (0, y), (-72 * (left - style.MARGIN), -down), ha="left", **where, **inches)
        axes.annotate(f"{np.mean(own['iou'] == 0):.0%}", (1, y), (48, 0), ha="right", **where, **inches)
    axes.annotate("IoU 0", (1, -0.85), (48, 0), ha="right", color=palette.MUTED, **where, **inches)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_yticks([])
    axes.set_ylabel("")
    axes.grid(axis="x")
    axes.set_xlabel("IoU of an image, merged masks, headline threshold")
    return figure


def _in_two_lines(name: str) -> list[str]:
    first, *others = style.wrapped([name], LONGEST)
    return [first, style.shortened(" ".join(others), LONGEST)] if others else [first]


def _values(record: Record) -> pd.DataFrame:
    counts = record.counts()
    counts = counts[counts["n_truth"] > 0]
    return counts[["group"]].assign(iou=iou(*(counts[name].to_numpy() for name in ("tp", "fp", "fn"))))

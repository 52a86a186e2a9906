"""Plot of the distribution of IoU over the defective test images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from defectbench.metrics.counts import iou
from defectbench.reporting import palette, words
from defectbench.reporting.plots import style
from defectbench.reporting.plots.band import bootstrap_of
from defectbench.reporting.plots.lines import best_of, hues_of, with_track
from defectbench.reporting.records import Record

TITLE = "IoU of every defective test image"
WIDTH, ROW = 10.0, 0.42  # inches
LONGEST_NAME = 3.6
MOST = 20
BELOW = 0.75


@style.house_style
def image_scores_figure(records: Sequence[Record]) -> Figure:
    """Draw the distribution of IoU per image, a row per experiment, the best of each track; oracle models below."""
    best_records: list[Record] = []
    n_hidden = 0
    for track in ("automatic", "oracle"):
        of_track, n = best_of(records, track, MOST)
        best_records, n_hidden = best_records + of_track, n_hidden + n
    values = {record.exp_id: _values(record) for record in best_records}
    best_records = [record for record in best_records if len(values[record.exp_id])]
    if not best_records:
        return style.message_figure(TITLE, "No trained experiment has a defective test image.")
    texts = [
        "Boxes hold half of the images, then half of the rest, and so on; line inside: median. White dot and bar: mean "
        "IoU with its 95 % interval. Right: share of images with IoU 0."
    ]
    if any(record.row["track"] == "oracle" for record in best_records):
        texts.append(f"Oracle track, marked: {words.ORACLE}")
    if n_hidden:
        texts.append(f"Shown are the best; {n_hidden:,} more experiments are not.")
    lines = style.wrap(texts, WIDTH - 2 * style.MARGIN)
    top, height = style.heading_height(lines) + 0.35, ROW * len(best_records)
    figure = Figure(figsize=(WIDTH, top + height + BELOW), dpi=style.DPI)
    style.draw_heading(figure, TITLE, lines)
    names = {record.exp_id: _in_two_lines(with_track(record)) for record in best_records}
    left = style.MARGIN + style.text_width(line for name in names.values() for line in name) + 0.25
    axes = style.add_axes(figure, left, top, WIDTH - left - 0.9, height)
    hues = hues_of(records)
    frame = pd.concat([values[r.exp_id].assign(experiment=r.exp_id, family=r.row["family"]) for r in best_records])
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
    for y, record in enumerate(best_records):
        scores = values[record.exp_id]
        mean = scores["iou"].mean()
        bootstrap = bootstrap_of(scores["group"].to_numpy())
        low, high = bootstrap.interval(scores["iou"].to_numpy(), 0, 1)
        axes.hlines(y, low, high, color="white", linewidth=3.4, zorder=4)
        axes.hlines(y, low, high, color=palette.INK, linewidth=1.4, zorder=5, gid=f"interval {record.exp_id}")
        marker_style: style.Look = {"color": "white", "markeredgecolor": palette.INK, "zorder": 6, "clip_on": False}
        axes.plot(mean, y, "o", **marker_style, gid=f"value {record.exp_id}")
        position: style.Look = {"xycoords": axes.get_yaxis_transform(), "va": "center_baseline"}
        offset: style.Look = {"textcoords": "offset points", "annotation_clip": False}
        for line, text in enumerate(names[record.exp_id]):
            down = 72 * style.LINE * (line - (len(names[record.exp_id]) - 1) / 2)
            axes.annotate(text, (0, y), (-72 * (left - style.MARGIN), -down), ha="left", **position, **offset)
        axes.annotate(f"{np.mean(scores['iou'] == 0):.0%}", (1, y), (48, 0), ha="right", **position, **offset)
    axes.annotate("IoU 0", (1, -0.85), (48, 0), ha="right", color=palette.MUTED, **position, **offset)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(best_records) - 0.4, -0.6)
    axes.set_yticks([])
    axes.set_ylabel("")
    axes.grid(axis="x")
    axes.set_xlabel("IoU of an image, merged masks, headline threshold")
    return figure


def _in_two_lines(name: str) -> list[str]:
    first, *others = style.wrap([name], LONGEST_NAME)
    return [first, style.shorten(" ".join(others), LONGEST_NAME)] if others else [first]


def _values(record: Record) -> pd.DataFrame:
    counts = record.counts()
    counts = counts[counts["n_truth"] > 0]
    return counts[["group"]].assign(iou=iou(*(counts[name].to_numpy() for name in ("tp", "fp", "fn"))))

"""Plot of the prompt gap: scores of promptable models with a trained model's prompts against true ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from defectbench.config.prompts import track_of
from defectbench.evaluation.image_scores import read_image_scores
from defectbench.reporting import palette
from defectbench.reporting.numbers import format_points
from defectbench.reporting.plots import style
from defectbench.reporting.plots.band import bootstrap_of
from defectbench.reporting.plots.prompting import METRIC, describe_prompts, group_by_segmenter, is_oracle
from defectbench.reporting.records import Record

TITLE = "Prompts by the truth, and by a model"
WIDTH, ROW = 10.0, 0.32  # inches
LONGEST_LABEL, NUMBERS = 3.6, 2.6
VALUE_END, GAP_END = 48, 175  # points right of the axes where the columns of numbers end
# By track; colours are for families.
LOOKS = {"oracle": ("s", palette.MUTED), "automatic": ("o", palette.INK)}


@dataclass(frozen=True)
class Gap:
    """One row: an experiment of a promptable model, and its distance from the true prompts in percentage points."""

    record: Record
    label: str
    """Kind of the prompts, and their source"""
    difference: float | None = None
    """Automatic − oracle, on the same images; None for the oracle row itself"""
    low: float | None = None
    high: float | None = None


@style.house_style
def prompt_gap_figure(records: Sequence[Record]) -> Figure:
    """Draw, for each promptable model of both tracks, its values by source of the prompts, and the gaps."""
    sections = compute_gaps(records)
    if not sections:
        return style.message_figure(
            TITLE, "No promptable model has an experiment with true prompts and one with others."
        )
    texts = [
        f"{METRIC}: mean Dice over defective test images, which both tracks share, with 95 % intervals over groups of "
        "images. Grey square: prompts by the truth (oracle track); black dot: by a model (automatic track). Gap: "
        "automatic − oracle on the same images, percentage points. Clean images, on which a detector can only be "
        "wrong, play no part here: see dice_all in the leaderboard."
    ]
    lines = style.wrap(texts, WIDTH - 2 * style.MARGIN)
    labels = (
        min(style.text_width(gap.label for section_gaps in sections.values() for gap in section_gaps), LONGEST_LABEL)
        + 0.3
    )
    heights = [0.35 + ROW * len(section_gaps) + 0.65 for section_gaps in sections.values()]
    top = style.heading_height(lines) + 0.1
    figure = Figure(figsize=(WIDTH, top + sum(heights)), dpi=style.DPI)
    style.draw_heading(figure, TITLE, lines)
    for (name, section_gaps), height in zip(sections.items(), heights, strict=True):
        style.write(figure, style.MARGIN, top, style.shorten(name, WIDTH - 1), fontweight="bold")
        size = (WIDTH - style.MARGIN - labels - NUMBERS, ROW * len(section_gaps))
        _draw(style.add_axes(figure, style.MARGIN + labels, top + 0.35, *size), section_gaps, labels)
        top += height
    return figure


def compute_gaps(records: Sequence[Record]) -> dict[str, list[Gap]]:
    """For each promptable model its experiment with exact true prompts, then the automatic ones, best first.

    The gap of an experiment is to the true prompts of the same kind, or, where there are none, to the model's own.
    """
    known = [record for record in records if record.row[METRIC] is not None and record.row["prompt_source"] != "none"]
    names = {record.exp_id: record.name for record in records}
    sections: dict[str, list[Gap]] = {}
    for of_segmenter in group_by_segmenter(known).values():
        exact = [r for r in of_segmenter if is_oracle(r) and not r.row["prompt_noise"]]
        automatic = sorted((r for r in of_segmenter if not is_oracle(r)), key=lambda r: -r.row[METRIC])
        if not exact or not automatic:
            continue
        by_kind = {record.row["prompt_type"]: record for record in exact}
        oracle_of = {r.exp_id: by_kind.get(r.row["prompt_type"], exact[0]) for r in automatic}
        oracles = list({oracle.exp_id: oracle for oracle in oracle_of.values()}.values())
        sections[oracles[0].name] = [
            *(Gap(record, describe_prompts(record, names)) for record in oracles),
            *(_gap(record, oracle_of[record.exp_id], describe_prompts(record, names)) for record in automatic),
        ]
    return sections


def _gap(automatic: Record, oracle: Record, label: str) -> Gap:
    first, second = (
        read_image_scores(r.folder, r.row["policy"]).set_index("image_id")[[METRIC, "group"]]
        for r in (automatic, oracle)
    )
    both = first.index.intersection(second.index)
    differences = 100 * (first.loc[both, METRIC] - second.loc[both, METRIC]).to_numpy()
    bootstrap = bootstrap_of(first.loc[both, "group"].to_numpy())
    return Gap(automatic, label, float(np.nanmean(differences)), *bootstrap.difference_interval(differences, 100))


def _draw(axes: Axes, section_gaps: Sequence[Gap], labels: float) -> None:
    for y, gap in enumerate(section_gaps):
        row, exp_id = gap.record.row, gap.record.exp_id
        marker, colour = LOOKS[track_of(row["prompt_source"])]
        low, high = row[f"{METRIC}_lo"], row[f"{METRIC}_hi"]
        if low is not None:
            axes.hlines(y, low, high, color=colour, linewidth=2.2, alpha=0.5, gid=f"interval {exp_id}")
        axes.plot(row[METRIC], y, marker, color=colour, markersize=7, gid=f"value {exp_id}")
        beside: style.Look = {"va": "center_baseline", "annotation_clip": False, "textcoords": "offset points"}
        frame = axes.get_yaxis_transform()
        label = style.shorten(gap.label, labels - 0.2)
        axes.annotate(label, (0, y), (-72 * labels, 0), xycoords=frame, ha="left", **beside)
        axes.annotate(f"{row[METRIC]:.3f}", (1, y), (VALUE_END, 0), xycoords=frame, ha="right", **beside)
        if gap.difference is not None and gap.low is not None and gap.high is not None:
            text = f"{format_points(gap.difference, 1)} [{format_points(gap.low, 1)}, {format_points(gap.high, 1)}]"
            axes.annotate(text, (1, y), (GAP_END, 0), xycoords=frame, ha="right", **beside)
    small: style.Look = {"ha": "right", "color": palette.MUTED, "fontsize": style.SMALL_SIZE}
    for text, place in (("value", VALUE_END), ("gap, points", GAP_END)):
        axes.annotate(text, (1, -0.95), (place, 0), xycoords=frame, **small, **beside)
    values = [gap.record.row[f"{METRIC}{end}"] for gap in section_gaps for end in ("", "_lo", "_hi")]
    known = [value for value in values if value is not None]
    space = max(0.05 * (max(known) - min(known)), 0.01)
    axes.set_xlim(min(known) - space, max(known) + space)
    axes.set_ylim(len(section_gaps) - 0.4, -0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel(METRIC)

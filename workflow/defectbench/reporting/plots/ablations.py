"""Plot of the effects of single choices: paired differences with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from defectbench.evaluation.image_scores import PRIMARY, read_image_scores
from defectbench.evaluation.pairwise import ABLATION
from defectbench.evaluation.policies import AT_HALF, CALIBRATED, POST_PROCESSED
from defectbench.evaluation.statistics import A_BETTER, B_BETTER
from defectbench.reporting import palette
from defectbench.reporting.numbers import format_points
from defectbench.reporting.plots import style
from defectbench.reporting.plots.band import bootstrap_of
from defectbench.reporting.plots.lines import best_of, with_track
from defectbench.reporting.records import Record

TITLE = "What single choices are worth"
WIDTH, ROW = 10.0, 0.3  # inches
LONGEST_LABEL, NUMBERS = 4.8, 2.0
MOST = 15


@dataclass(frozen=True)
class Effect:
    """A difference in percentage points with its interval; ``significant`` is None for one that was not tested."""

    label: str
    difference: float
    low: float
    high: float
    significant: bool | None


@style.house_style
def ablations_figure(records: Sequence[Record], pairwise: pd.DataFrame) -> Figure:
    """Draw the declared ablation pairs, and the effects of threshold and post-processing on each experiment."""
    sections = {
        "Declared pairs: a − b": _declared(records, pairwise),
        "Post-processing: with − without": _effects(records, POST_PROCESSED, CALIBRATED),
        "Threshold: calibrated − p = 0.5": _effects(records, CALIBRATED, AT_HALF),
    }
    sections = {title: effects for title, effects in sections.items() if effects}
    if not sections:
        return style.message_figure(TITLE, "No pair was declared under report.ablations, and no experiment has scores.")
    texts = [
        "Differences on the same test images, percentage points of dice_all, or of test_Dice in the oracle track, with "
        "95 % intervals over groups of images. Filled: significant after Holm's correction; hollow: not; grey: "
        "described, not tested, so no claim is made."
    ]
    if ABLATION not in set(pairwise["kind"]):
        texts.append("No pair was declared under report.ablations in the configuration.")
    lines = style.wrap(texts, WIDTH - 2 * style.MARGIN)
    top = style.heading_height(lines) + 0.1
    texts = [effect.label for effects in sections.values() for effect in effects]
    labels = min(style.text_width(texts), LONGEST_LABEL) + 0.3
    heights = [0.35 + ROW * len(effects) + 0.65 for effects in sections.values()]
    figure = Figure(figsize=(WIDTH, top + sum(heights)), dpi=style.DPI)
    style.draw_heading(figure, TITLE, lines)
    for (title, effects), height in zip(sections.items(), heights, strict=True):
        style.write(figure, style.MARGIN, top, title, fontweight="bold")
        size = (WIDTH - style.MARGIN - labels - NUMBERS, ROW * len(effects))
        _draw(style.add_axes(figure, style.MARGIN + labels, top + 0.35, *size), effects, labels)
        top += height
    return figure


def _declared(records: Sequence[Record], pairwise: pd.DataFrame) -> list[Effect]:
    settings = {record.row["experiment"]: (record.name, _settings(record.run)) for record in records}
    effects = []
    for row in pairwise[pairwise["kind"] == ABLATION].to_dict("records"):
        (a, first), (b, second) = settings[row["a"]], settings[row["b"]]
        changed = [key for key in first if key in second and first[key] != second[key] and key != "seed"]
        what = ", ".join(f"{key} {first[key]} − {second[key]}" for key in changed[:2])
        label = f"{what} ({a})" if what and len(changed) < 3 else f"{a} − {b}"
        bounds = (row["difference"], row["difference_lo"], row["difference_hi"])
        effects.append(Effect(label, *bounds, row["claim"] in (A_BETTER, B_BETTER)))
    return effects


def _settings(run: dict[str, Any]) -> dict[str, Any]:
    """The settings in which two experiments may differ."""
    return {"subset": run["experiment"]["subset"], "cv": run.get("n_folds")} | (run.get("settings") or {})


def _effects(records: Sequence[Record], policy: str, base: str) -> list[Effect]:
    """The effect of ``policy`` compared with ``base``, for the best experiments with scores."""
    effects = []
    for track in ("automatic", "oracle"):
        for record in best_of([record for record in records if record.metrics["has_scores"]], track, MOST)[0]:
            present = pd.read_parquet(record.folder / "per_image.parquet", columns=["policy"])["policy"].unique()
            if policy not in present or base not in present:
                continue
            scores, base_scores = (read_image_scores(record.folder, name) for name in (policy, base))
            differences = 100 * (scores[PRIMARY[track]] - base_scores[PRIMARY[track]]).to_numpy()
            interval = bootstrap_of(scores["group"].to_numpy()).difference_interval(differences, 100)
            effects.append(Effect(with_track(record), float(np.nanmean(differences)), *interval, None))
    return effects


def _draw(axes: Axes, effects: Sequence[Effect], labels: float) -> None:
    axes.axvline(0, color=palette.MUTED, linewidth=0.9)
    for y, effect in enumerate(effects):
        colour = palette.MUTED if effect.significant is None else palette.HUES[0]
        axes.hlines(y, effect.low, effect.high, color=colour, linewidth=2.2, alpha=0.55, gid=f"interval {effect.label}")
        face = "white" if effect.significant is False else colour
        marker_style: style.Look = {"markersize": 7, "markerfacecolor": face, "markeredgecolor": colour}
        axes.plot(effect.difference, y, "o", **marker_style, gid=f"value {effect.label}")
        beside: style.Look = {"va": "center_baseline", "annotation_clip": False, "textcoords": "offset points"}
        frame = axes.get_yaxis_transform()
        label = style.shorten(effect.label, labels - 0.2)
        axes.annotate(label, (0, y), (-72 * labels, 0), xycoords=frame, ha="left", **beside)
        text = (
            f"{format_points(effect.difference, 2)} [{format_points(effect.low, 2)}, {format_points(effect.high, 2)}]"
        )
        axes.annotate(text, (1, y), (72 * (NUMBERS - style.MARGIN), 0), xycoords=frame, ha="right", **beside)
    values = np.array([(effect.difference, effect.low, effect.high) for effect in effects])
    reach = max(1.1 * float(np.nanmax(np.abs(values))), 0.5)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(len(effects) - 0.4, -0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel("percentage points")

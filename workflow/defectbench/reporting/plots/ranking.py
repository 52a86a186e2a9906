"""Plot of the ranking: every experiment's value with its confidence interval, best first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from defectbench.config.report import RankingSettings
from defectbench.evaluation.image_scores import PRIMARY
from defectbench.reporting import names, palette, words
from defectbench.reporting.plots import style
from defectbench.reporting.verdicts import Standing

WIDTH = 10.0
ROW = 0.3  # inches from one row to the next
LONGEST_LABEL = 3.7
REFERENCE_TITLE = "Reference: what a number is worth"
GAP = 1.4  # rows between the models and the reference methods
VALUES_WIDTH = 2.75  # the columns of numbers on the right
# A longer list is no longer a picture, and the height of PNG files is limited.
MOST_ROWS = 60


@dataclass(frozen=True)
class Panel:
    """One track's rows, best first, and below them the reference methods."""

    title: str
    metric: str
    rows: pd.DataFrame
    reference: pd.DataFrame
    n_hidden: int
    """Experiments of the track that are not among the rows"""
    standing: Standing | None
    """Verdict of the tests; None if they are of another metric"""
    hues: dict[str, str]
    """Colour of each family"""

    def is_beaten(self, row: dict) -> bool:
        """Whether a test shows the experiment of ``row`` to be worse than another."""
        if self.standing is None or row["track"] == "reference":
            return False
        return row["experiment"] not in self.standing.unbeaten

    @property
    def height(self) -> float:
        """Inches of the panel's axes."""
        return ROW * (self.bottom + 1.2)

    @property
    def label_width(self) -> float:
        """Inches between the left margin and the axes."""
        return (
            min(style.text_width([*self.rows["label"], *self.reference["label"], REFERENCE_TITLE]), LONGEST_LABEL) + 0.2
        )

    @property
    def bottom(self) -> float:
        """Position of the last row; the first is at 0, and each row takes 1."""
        return len(self.rows) + len(self.reference) - 1 + (GAP if len(self.reference) else 0)

    def positioned_rows(self) -> Iterator[tuple[float, dict]]:
        """Yield (position, row) of all rows, from the top."""
        yield from enumerate(self.rows.to_dict("records"))
        for i, row in enumerate(self.reference.to_dict("records")):
            yield len(self.rows) + GAP + i, row


@style.house_style
def ranking_figure(
    results: pd.DataFrame, ranks: pd.DataFrame, pairwise: pd.DataFrame, settings: RankingSettings
) -> Figure:
    """Draw the experiments of results.parquet by the metric of ``settings``: a panel for each of two tracks.

    ``ranks`` has the columns of ranks.csv: intervals of means over seeds. ``pairwise`` has those of pairwise.csv: dots
    of experiments that a test shows to be worse are hollow. Reference methods are below the automatic ones, so that a
    reader sees what a number is worth.
    """
    panels = _panels(results, ranks, pairwise, settings.metric)
    if not panels:
        return style.message_figure("Ranking", f"No experiment of this study has a value of {settings.metric}.")
    texts = [style.wrap(_explanations(panel), WIDTH - 2 * style.MARGIN) for panel in panels]
    heights = [
        style.heading_height(lines) + 0.45 + panel.height + 0.55 for panel, lines in zip(panels, texts, strict=True)
    ]
    figure = Figure(figsize=(WIDTH, sum(heights)), dpi=style.DPI)
    top = 0.0
    for panel, lines, height in zip(panels, texts, heights, strict=True):
        style.draw_heading(figure, panel.title, lines, top)
        left = style.MARGIN + panel.label_width
        width = WIDTH - left - VALUES_WIDTH - style.MARGIN
        axes = style.add_axes(figure, left, top + style.heading_height(lines) + 0.45, width, panel.height)
        _draw(axes, panel)
        top += height
    return figure


def _panels(table: pd.DataFrame, ranks: pd.DataFrame, pairwise: pd.DataFrame, metric: str) -> list[Panel]:
    # Oracle models do not predict clean images, so they have no mean over all images.
    oracle_metric = "test_Dice" if metric == "dice_all" else metric
    reference = _average_seeds(words.label_rows(table, "reference", metric), metric, ranks)
    choices = [
        ("Models", "automatic", metric, reference),
        ("Oracle track", "oracle", oracle_metric, reference.iloc[:0]),
    ]
    hues = palette.family_colours(table["family"], table["track"])
    panels = []
    for title, track, by, beside in choices:
        rows = _average_seeds(words.label_rows(table, track, by), by, ranks).head(MOST_ROWS)
        n_hidden = table.loc[table["track"] == track, "experiment"].nunique() - len(rows)
        standing = Standing.of(table, pairwise, track) if by == PRIMARY[track] else None
        panels.append(Panel(f"{title} ranked by {words.TITLES[by]}", by, rows, beside, n_hidden, standing, hues))
    return [panel for panel in panels if len(panel.rows) or len(panel.reference)]


def _average_seeds(rows: pd.DataFrame, metric: str, ranks: pd.DataFrame) -> pd.DataFrame:
    """One row per experiment, best first: of several seeds the mean with its interval, if ``ranks`` has it.

    ``values`` are those of the seeds.
    """
    means = ranks[ranks["metric"] == metric].set_index("experiment")
    averaged = []
    for experiment, seeds in rows.groupby("experiment", sort=False):
        row = seeds.sort_values("seed").iloc[0].to_dict() | {"values": seeds[metric].tolist()}
        if len(seeds) > 1:
            row |= {metric: seeds[metric].mean(), "label": f"{_without_seed(row)} ({len(seeds)} seeds)"}
            low, high = means.reindex([experiment])[["mean_lo", "mean_hi"]].iloc[0]
            row |= {f"{metric}_lo": low, f"{metric}_hi": high}
        averaged.append(row)
    table = pd.DataFrame(averaged, columns=[*rows.columns, "values"])
    return table.sort_values(metric, ascending=False, kind="stable", ignore_index=True)


def _without_seed(row: dict) -> str:
    return names.without_seed(row["label"].removesuffix(f", seed {row['seed']}"), row["seed"])


def _explanations(panel: Panel) -> list[str]:
    rows = pd.concat([panel.rows, panel.reference])
    texts = [words.describe_metric(panel.metric, rows)]
    if "oracle" in set(rows["track"]):
        texts.append(words.ORACLE)
    texts.append("Dot: value on the test images; bar: 95 % interval; labels: images trained on; colour: family.")
    if (panel.rows["values"].map(len) > 1).any():
        texts[-1] += " Of several seeds the mean; ticks: the seeds."
    if len(panel.reference):
        texts[-1] += " Dotted line: best reference."
    if not len(panel.rows):
        texts.append("No experiment of the automatic track has a value: these are the reference methods alone.")
    elif panel.standing is None:
        texts.append("Which differences are significant was tested for another metric: see pairwise.csv.")
    elif len(panel.rows) > 1:
        texts.append(_explain_dots(panel, panel.standing))
    if panel.n_hidden:
        texts.append(f"{panel.n_hidden:,} more experiments, with lower values or none, are in results.csv.")
    if rows[f"{panel.metric}_lo"].isna().any():
        texts.append("No bar: no interval was determined.")
    return texts


def _explain_dots(panel: Panel, standing: Standing) -> str:
    if standing.untested:
        return f"No dot is hollow: {standing.untested}."
    tests = "each tested against the best on val; Wilcoxon and bootstrap by groups of images, Holm"
    if not any(map(panel.is_beaten, panel.rows.to_dict("records"))):
        return f"No model is significantly worse than the best on val ({tests})."
    # No compact letter display: that needs all pairs, and a study tests only declared ones.
    return f"● no test shows another model to be better; ○ significantly worse than another ({tests})."


def _draw(axes: Axes, panel: Panel) -> None:
    value, low, high = panel.metric, f"{panel.metric}_lo", f"{panel.metric}_hi"
    for y, row in panel.positioned_rows():
        colour = panel.hues[row["family"]]
        if pd.notna(row[low]):
            axes.hlines(
                y, row[low], row[high], color=colour, linewidth=2.5, alpha=0.55, gid=f"interval {row['exp_id']}"
            )
        if len(seeds := row["values"]) > 1:
            axes.plot(seeds, [y] * len(seeds), "|", color=colour, markersize=9, gid=f"seeds {row['exp_id']}")
        face, edge = ("white", colour) if panel.is_beaten(row) else (colour, "white")
        marker_style: style.Look = {"markersize": 7, "markerfacecolor": face, "markeredgecolor": edge}
        axes.plot(row[value], y, "o", **marker_style, gid=f"value {row['exp_id']}")
        _write_row(axes, y, row, panel)
    _write_headers(axes, panel)
    axes.set_ylim(panel.bottom + 0.6, -0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    rows = pd.concat([panel.rows, panel.reference])
    ends = rows.assign(least=rows["values"].map(min), most=rows["values"].map(max))
    axes.set_xlim(*style.axis_limits(ends[[value, low, high, "least", "most"]]))
    axes.grid(axis="x")
    axes.set_xlabel(f"{words.TITLES[panel.metric]} (higher is better)")


def _write_row(axes: Axes, y: float, row: dict, panel: Panel) -> None:
    value, low, high = (row[f"{panel.metric}{end}"] for end in ("", "_lo", "_hi"))
    colour = palette.MUTED if row["track"] == "reference" else palette.INK
    _label(axes, y, style.shorten(row["label"], LONGEST_LABEL), panel, color=colour)
    interval = f"{low:.3f} – {high:.3f}" if pd.notna(low) else "–"
    _columns(axes, y, [f"{value:.3f}", interval, words.format_labels(row["n_labels_train"])], color=colour)


def _write_headers(axes: Axes, panel: Panel) -> None:
    text_style: style.Look = {"color": palette.MUTED, "fontsize": style.SMALL_SIZE}
    _columns(axes, -1.0, ["value", "95 % interval", "labels"], **text_style)
    if len(panel.reference):
        _label(axes, len(panel.rows) + GAP - 0.95, REFERENCE_TITLE, panel, **text_style)
        # From the best reference up through the models: a model left of this line has learned nothing useful.
        best = panel.reference[panel.metric].iloc[0]
        axes.axvline(best, color=palette.MUTED, linewidth=0.9, linestyle=(0, (2, 3)), zorder=0.5)


def _label(axes: Axes, y: float, text: str, panel: Panel, **text_style: Any) -> None:
    """Write the name of a row left of the axes."""
    _annotate(axes, (0, y), -panel.label_width, text, ha="left", **text_style)


def _columns(axes: Axes, y: float, texts: Sequence[str], **text_style: Any) -> None:
    """Write the numbers of a row right of the axes: value, interval, training labels."""
    for text, inches in zip(texts, (0.65, 1.95, 2.65), strict=True):
        _annotate(axes, (1, y), inches, text, ha="right", **text_style)


def _annotate(axes: Axes, place: tuple[float, float], inches: float, text: str, **text_style: Any) -> None:
    frame = axes.get_yaxis_transform()
    axes.annotate(
        text, place, (72 * inches, 0), frame, "offset points", va="center_baseline", annotation_clip=False, **text_style
    )

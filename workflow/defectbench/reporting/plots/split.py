"""Plot of the split: images by combination of classes, and areas of the defects of each class, by role."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from defectbench.data.manifest import Manifest, areas
from defectbench.data.splits import ROLES
from defectbench.reporting import palette
from defectbench.reporting.plots import style

TITLE = "What train, val and test hold"
WIDTH = 10.0
ROW, ABOVE, BELOW = 0.52, 0.42, 0.62  # inches of a row of a panel, of its title, of its axis
LONGEST_LABEL = 2.6
NUMBERS = 1.15  # inches right of the axes
MOST_ROWS = 14  # a longer list is no longer a picture
CLEAN = "clean"
MANIFEST_COLUMNS = ["image_id", "height", "width", "area"]
COLOURS = dict(zip(ROLES, palette.HUES, strict=False))
PERCENTILES = (5, 25, 50, 75, 95)  # percentiles


def class_combinations(area: np.ndarray, class_names: Sequence[str]) -> list[str]:
    """Classes of each image by their areas (N, C) in pixels: 'clean', or names joined by ' + '."""
    return [" + ".join(np.array(class_names, object)[present]) or CLEAN for present in area > 0]


@style.house_style
def split_figure(manifest: Manifest, split: pd.DataFrame) -> Figure:
    """Draw each role's images by combination of classes, and the areas of the defects by class.

    ``manifest`` needs MANIFEST_COLUMNS; ``split`` has image_id, role, group.
    """
    frame = manifest.frame.set_index("image_id").loc[split["image_id"]]
    area = areas(frame)
    share = area / (frame["height"].to_numpy(np.int64) * frame["width"].to_numpy(np.int64))[:, None]
    role = split["role"].to_numpy(str)
    counts = _counts(class_combinations(area, manifest.class_names), role)
    spreads = _area_spreads(share, role, manifest.class_names)
    lines = style.wrap(_explanations(manifest.dataset, counts, len(manifest.class_names)), WIDTH - 2 * style.MARGIN)
    entries = [(COLOURS[name], _describe_role(name, split, area)) for name in ROLES]
    rows = style.legend_rows(entries, WIDTH - 2 * style.MARGIN - style.LEGEND_TITLE)
    top = style.heading_height(lines) + 0.08
    panels = [len(counts), *([len(spreads)] if spreads else [])]
    start = top + style.LEGEND_ROW * len(rows)
    figure = Figure(figsize=(WIDTH, start + sum(ABOVE + ROW * n + BELOW for n in panels)), dpi=style.DPI)
    style.draw_heading(figure, TITLE, lines)
    style.draw_legend(figure, top, "Roles", rows)
    label_width = min(style.text_width([*counts.index, *spreads]), LONGEST_LABEL) + 0.2
    for title, values, draw_values in (
        ("Images by the classes that they show", counts, _draw_counts),
        ("Area of the defects of each class, in images that show it", spreads, _draw_spreads),
    ):
        if len(values):
            style.write(figure, style.MARGIN, start + 0.16, title, fontweight="bold")
            left, height = style.MARGIN + label_width, ROW * len(values)
            width = WIDTH - left - NUMBERS - style.MARGIN
            axes = style.add_axes(figure, left, start + ABOVE, width, height)
            draw_values(axes, values)
            _label_rows(axes, list(values.index if isinstance(values, pd.DataFrame) else values), label_width)
            start += ABOVE + height + BELOW
    return figure


def _counts(combination: Sequence[str], role: np.ndarray) -> pd.DataFrame:
    """Images per combination (rows, the most frequent first, clean ones last) and role (columns)."""
    counts = pd.crosstab(np.array(combination, object), role).reindex(columns=list(ROLES), fill_value=0)
    clean = counts.loc[counts.index == CLEAN]
    counts = counts.drop(index=clean.index)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    if len(counts) > MOST_ROWS:
        others = counts.iloc[MOST_ROWS - 1 :]
        counts = counts.iloc[: MOST_ROWS - 1]
        counts.loc[f"{len(others)} other combinations"] = others.sum()
    return pd.concat([counts, clean])


def _area_spreads(share: np.ndarray, role: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """The non-zero areas, as shares of the image, by class and role; of the most frequent classes."""
    frequent = np.argsort(-(share > 0).sum(axis=0), kind="stable")[:MOST_ROWS]
    return {
        names[c]: {name: share[(role == name) & (share[:, c] > 0), c] for name in ROLES}
        for c in sorted(frequent)
        if share[:, c].any()
    }


def _explanations(dataset: str, counts: pd.DataFrame, n_classes: int) -> list[str]:
    texts = [
        f"{dataset}. Bars: share of the role's images, their number behind. Areas: dot median, thick bar the middle "
        "half of the images, thin bar the 5th to the 95th percentile; behind it the number of images."
    ]
    absent = {name: [label for label in counts.index if not counts.loc[label, name]] for name in ROLES}
    absences = [f"Not in {name}: {', '.join(labels)}." for name, labels in absent.items() if labels]
    texts += [" ".join(absences)] if absences else []
    if n_classes > MOST_ROWS:
        texts.append(f"Shown are the {MOST_ROWS} most frequent of {n_classes} classes.")
    return texts


def _describe_role(name: str, split: pd.DataFrame, area: np.ndarray) -> str:
    of_role = (split["role"] == name).to_numpy()
    n_groups, n_defective = split.loc[of_role, "group"].nunique(), int(area[of_role].any(axis=1).sum())
    return f"{name}: {of_role.sum():,} images in {n_groups:,} groups, {n_defective:,} defective"


def _places(row: int) -> list[tuple[str, float]]:
    """(role, height) of a row's marks, from the top."""
    return [(name, row + 0.26 * (k - 1)) for k, name in enumerate(ROLES)]


def _draw_counts(axes: Axes, counts: pd.DataFrame) -> None:
    totals = counts.sum()
    for row, label in enumerate(counts.index):
        for name, y in _places(row):
            n = counts.loc[label, name]
            share = n / totals[name]
            axes.barh(y, share, 0.22, color=COLOURS[name], gid=f"{label} {name}")
            text = f"{n:,} ({share:.1%})"
            axes.annotate(text, (share, y), (4, 0), "data", "offset points", va="center", fontsize=style.SMALL_SIZE - 1)
    _finish(axes, len(counts), "share of the role's images")
    axes.set_xlim(0)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")


def _draw_spreads(axes: Axes, spreads: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    for row, (label, by_role) in enumerate(spreads.items()):
        for name, y in _places(row):
            text = f"{len(by_role[name]):,} images"
            text_style: style.Look = {
                "color": palette.MUTED,
                "fontsize": style.SMALL_SIZE - 1,
                "annotation_clip": False,
            }
            frame = axes.get_yaxis_transform()
            axes.annotate(
                text, (1, y), (72 * NUMBERS, 0), frame, "offset points", ha="right", va="center", **text_style
            )
            if len(by_role[name]):
                least, low, middle, high, most = np.percentile(by_role[name], PERCENTILES)
                axes.hlines(y, least, most, color=COLOURS[name], linewidth=1.2, gid=f"spread {label} {name}")
                axes.hlines(y, low, high, color=COLOURS[name], linewidth=4.5, alpha=0.6)
                axes.plot(middle, y, "o", color=COLOURS[name], markersize=5, gid=f"median {label} {name}")
    _finish(axes, len(spreads), "share of the image (logarithmic)")
    style.label_log_axis(axes, lambda share, _: f"{100 * share:g}%")


def _finish(axes: Axes, n_rows: int, label: str) -> None:
    axes.set_ylim(n_rows - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel(label)


def _label_rows(axes: Axes, labels: Sequence[str], width: float) -> None:
    for row, label in enumerate(labels):
        text, frame = style.shorten(label, LONGEST_LABEL), axes.get_yaxis_transform()
        axes.annotate(text, (0, row), (-72 * width, 0), frame, "offset points", va="center", annotation_clip=False)

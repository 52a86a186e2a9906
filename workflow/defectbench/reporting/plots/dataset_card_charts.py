"""Charts of the dataset card: classes, defect areas, image sizes, and repeated pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from defectbench.data.audit import SPECK_PART, SPECK_PIXELS, Audit, picture_clusters, speck_limit
from defectbench.data.manifest import Manifest, areas
from defectbench.reporting import palette
from defectbench.reporting.plots import style

WIDTH = 10.0
LONGEST_LABEL = 2.6
MOST_CLASSES = 20  # a longer list is no longer a picture; the card's table has all
CLEAN = "clean"
BINS_PER_DECADE = 6  # the largest number for which every bin holds a whole number
# Largest number of images in a bin of clusters -> label of the bin.
CLUSTER_BINS = {2: "2", 3: "3", 4: "4", 5: "5", 10: "6–10", 20: "11–20", 50: "21–50", 100: "51–100"}
LARGEST_CLUSTERS = "over 100"
BAR, SECOND_BAR = palette.HUES[0], palette.HUES[4]
_BELOW = 0.75  # inches from the axes to the lower edge of the figure
_COLUMNS = 2.3  # inches of the numbers right of the areas
_THOUSANDS = "{x:,.0f}"


def dataset_charts(manifest: Manifest, audit: Audit) -> dict[str, Figure]:
    """The charts that apply to this dataset, by file name."""
    figures = {"classes": classes_figure(manifest)}
    if len(audit.regions):
        figures["areas"] = areas_figure(manifest, audit.regions)
    if len(manifest.frame[["height", "width"]].drop_duplicates()) > 1:
        figures["sizes"] = sizes_figure(manifest.frame)
    if len(clusters := picture_clusters(manifest.frame)):
        figures["duplicates"] = duplicates_figure(clusters)
    return figures


def frequent_classes(manifest: Manifest, most: int = MOST_CLASSES) -> list[int]:
    """Indices of the classes in a picture, in order: the ``most`` that appear in the most images."""
    n_images = (areas(manifest.frame) > 0).sum(axis=0)
    return sorted(np.argsort(-n_images, kind="stable")[:most].tolist())


@style.house_style
def classes_figure(manifest: Manifest) -> Figure:
    """Draw the number of images of each class and of clean ones, and the share of pixels of each class."""
    area, classes = areas(manifest.frame), frequent_classes(manifest)
    n, pixels = len(area), int((manifest.frame["height"].astype(np.int64) * manifest.frame["width"]).sum())
    names = [*(manifest.class_names[c] for c in classes), CLEAN]
    images = [*((area[:, c] > 0).sum() for c in classes), (area.sum(axis=1) == 0).sum()]
    shares = [area[:, c].sum() / pixels for c in classes]
    text = f"{manifest.dataset}: {n:,} images. An image counts for every class that it shows; {CLEAN}: no defect."
    figure, top, height = _figure(
        "Images and pixels of each class", [text, *_hidden_classes_note(manifest)], 0.34 * len(names)
    )
    label_width = _label_width(names)
    width = (WIDTH - label_width - 3 * style.MARGIN) / 2
    left = style.add_axes(figure, style.MARGIN + label_width, top, width, height)
    right = style.add_axes(figure, WIDTH - width - style.MARGIN, top, width, height)
    _bars(left, images, [f"{count:,} ({count / n:.1%})" for count in images], len(names))
    _bars(right, shares, [f"{100 * share:.3g}%" for share in shares], len(names))
    left.patches[-1].set_color(palette.MUTED)
    for row, name in enumerate(names):
        _label(left, row, name, label_width)
    left.set_xlabel("images")
    left.xaxis.set_major_formatter(_THOUSANDS)
    right.set_xlabel("share of all pixels")
    right.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g}%")
    return figure


def _bars(axes: Axes, values: Sequence[float], texts: Sequence[str], n_rows: int) -> None:
    """Draw a bar per row from the top, its number behind it; there are ``n_rows``, the last may be empty."""
    axes.barh(range(len(values)), values, 0.68, color=BAR)
    for row, (value, text) in enumerate(zip(values, texts, strict=True)):
        axes.annotate(text, (value, row), (4, 0), textcoords="offset points", va="center_baseline")
    # Room for the longest number behind the longest bar.
    inches = axes.get_position().width * WIDTH
    axes.set_xlim(0, max(*values, 1e-9) * inches / (inches - style.text_width(texts) - 0.15))
    axes.set_ylim(n_rows - 0.5, -0.5)
    axes.set_yticks([])
    axes.locator_params(axis="x", nbins=4)


@style.house_style
def areas_figure(manifest: Manifest, regions: pd.DataFrame) -> Figure:
    """Draw the distribution of the areas of ``regions`` (columns class, area), class by class, area logarithmic."""
    classes = [c for c in frequent_classes(manifest) if (regions["class"] == c).any()]
    names = [manifest.class_names[c] for c in classes]
    sizes = manifest.frame[["height", "width"]].drop_duplicates().to_numpy()
    text = "Connected regions of the masks by their area; height: number, each class on its own scale. Line: median. "
    if len(sizes) == 1:
        text += f"Dotted: tiny specks are below {speck_limit(*sizes[0])} pixels."
    else:
        text += f"Tiny specks are below 1/{SPECK_PART:,} of their image, or below {SPECK_PIXELS} pixels."
    figure, top, height = _figure(
        "Areas of the defects", [text, *_hidden_classes_note(manifest)], 0.62 * len(classes), above=0.45
    )
    label_width = _label_width(names)
    width = WIDTH - label_width - _COLUMNS - 2 * style.MARGIN
    axes = style.add_axes(figure, style.MARGIN + label_width, top, width, height)
    decades = int(np.log10(regions["area"].max())) + 1
    edges = np.logspace(0, decades, decades * BINS_PER_DECADE + 1) * 0.999  # no whole number is on an edge
    if len(sizes) == 1:
        axes.axvline(speck_limit(*sizes[0]), color=palette.MUTED, linewidth=1.1, linestyle=(0, (2, 3)))
    for row, (c, name) in enumerate(zip(classes, names, strict=True)):
        area = regions.loc[regions["class"] == c, "area"]
        counts, ground = np.histogram(area, edges)[0], row + 0.42
        axes.stairs(ground - 0.8 * counts / counts.max(), edges, baseline=ground, fill=True, color=BAR, alpha=0.75)
        axes.vlines(area.median(), ground - 0.84, ground, color=palette.INK, linewidth=1.6)
        _label(axes, row, name, label_width)
        _numbers(axes, row, [f"{len(area):,}", f"{area.median():,.0f}"])
    _numbers(axes, -0.7, ["regions", "median, pixels"], color=palette.MUTED, fontsize=style.SMALL_SIZE)
    axes.set_xlim(edges[0], edges[-1])
    style.label_log_axis(axes, _THOUSANDS)
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel("area of a region, pixels")
    return figure


@style.house_style
def sizes_figure(frame: pd.DataFrame) -> Figure:
    """Draw height against width of the images of a manifest's ``frame``, a circle for each size."""
    sizes = frame.groupby(["height", "width"], as_index=False).size()
    sizes = sizes.sort_values("size", ascending=False, kind="stable")  # the small ones are drawn last, on top
    most = sizes.iloc[0]
    text = (
        f"{len(sizes):,} sizes; the area of a circle grows with the number of images. The most frequent, height x "
        f"width {most['height']} x {most['width']}, has {most['size']:,} of {len(frame):,} images."
    )
    figure, top, height = _figure("Sizes of the images", [text], 3.6)
    axes = style.add_axes(figure, 1.05, top, WIDTH - 1.05 - style.MARGIN, height)
    area = 20 + 580 * sizes["size"] / len(frame)
    axes.scatter(sizes["width"], sizes["height"], area, color=BAR, alpha=0.6, edgecolors="white")
    axes.margins(0.1, 0.16)
    axes.grid()
    axes.set_xlabel("width, pixels")
    axes.set_ylabel("height, pixels")
    return figure


@style.house_style
def duplicates_figure(clusters: pd.DataFrame) -> Figure:
    """Draw the sizes of ``clusters`` (columns images, near; see picture_clusters)."""
    labels = [*CLUSTER_BINS.values(), LARGEST_CLUSTERS]
    size = pd.cut(clusters["images"], [0, *CLUSTER_BINS, np.inf], labels=labels)
    near = size[clusters["near"]].value_counts().reindex(labels)
    exact = size[~clusters["near"]].value_counts().reindex(labels)
    n_bins = max(4, int(np.flatnonzero(near + exact)[-1]) + 1)
    near, exact = near[:n_bins], exact[:n_bins]
    text = f"Pictures that come at least twice: {len(clusters):,}, in {clusters['images'].sum():,} images."
    figure, top, height = _figure("How many images show the same picture", [text], 2.4, above=0.55)
    entries = [
        (BAR, "re-encoded, resized, mirrored, turned or moved"),
        (SECOND_BAR, "exact copies alone"),
    ]
    used_entries = [entry for entry, counts in zip(entries, (near, exact), strict=True) if counts.any()]
    style.draw_legend(figure, style.heading_height([text]) + 0.05, "Pictures", style.legend_rows(used_entries, WIDTH))
    axes = style.add_axes(figure, 1.05, top, WIDTH - 1.05 - style.MARGIN, height)
    axes.bar(range(n_bins), near, 0.68, color=BAR)
    axes.bar(range(n_bins), exact, 0.68, near, color=SECOND_BAR)
    for place, total in enumerate(near + exact):
        axes.annotate(f"{total:,}", (place, total), (0, 4), textcoords="offset points", ha="center")
    axes.set_xticks(range(n_bins), near.index)
    axes.set_xlim(-0.6, n_bins - 0.4)
    axes.set_ylim(0, 1.14 * (near + exact).max())
    axes.locator_params(axis="y", integer=True, nbins=5)
    axes.yaxis.set_major_formatter(_THOUSANDS)
    axes.set_xlabel("images that show the picture")
    axes.set_ylabel("pictures")
    return figure


def _hidden_classes_note(manifest: Manifest) -> list[str]:
    n_hidden = len(manifest.class_names) - MOST_CLASSES
    return [f"{n_hidden} more classes, which fewer images show, are in the card's table."] if n_hidden > 0 else []


def _figure(title: str, texts: Sequence[str], height: float, above: float = 0.25) -> tuple[Figure, float, float]:
    """A figure with a heading and room for axes; returned with the top of the axes and their ``height``, in inches."""
    lines = style.wrap(texts, WIDTH - 2 * style.MARGIN)
    top = style.heading_height(lines) + above
    figure = Figure(figsize=(WIDTH, top + height + _BELOW), dpi=style.DPI)
    style.draw_heading(figure, title, lines)
    return figure, top, height


def _label_width(names: Sequence[str]) -> float:
    return min(style.text_width(names), LONGEST_LABEL) + 0.2


def _label(axes: Axes, row: float, name: str, width: float) -> None:
    """Write the name of a row ``width`` inches left of the axes."""
    _annotate(axes, (0, row), -width, style.shorten(name, LONGEST_LABEL), ha="left")


def _numbers(axes: Axes, row: float, texts: Sequence[str], **text_style: Any) -> None:
    """Write the two numbers of a row right of the axes."""
    for text, inches in zip(texts, (0.85, _COLUMNS), strict=True):
        _annotate(axes, (1, row), inches, text, ha="right", **text_style)


def _annotate(axes: Axes, place: tuple[float, float], inches: float, text: str, **text_style: Any) -> None:
    across = axes.get_yaxis_transform()
    axes.annotate(
        text,
        place,
        (72 * inches, 0),
        across,
        "offset points",
        va="center_baseline",
        annotation_clip=False,
        **text_style,
    )

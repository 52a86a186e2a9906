"""Plot of a typical image of each class, selected by rule, with the outlines of its masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from defectbench.data.decoders import ImageError
from defectbench.data.deep_images import decode_picture
from defectbench.data.manifest import Manifest, areas
from defectbench.data.rle import decode_coco
from defectbench.data.stripes import mark_ignored
from defectbench.reporting import overlay, palette
from defectbench.reporting.plots import style
from defectbench.reporting.plots.dataset_card_charts import CLEAN, frequent_classes
from defectbench.script import UserError

MOST_EXAMPLES = 12
# Pixels: width of a row of pictures, space between them, the shorter side of a picture and its largest height.
PAGE, GAP, SHORTER, TALLEST = 1504, 32, 350, 700
CAPTION, BETWEEN = 0.44, 0.25  # inches of a caption, and between two rows
OF_CLASS, OF_OTHERS = overlay.CLASS_COLOURS[:2]
LINE = 2  # pixels
BOLDER = 1.15  # width of bold letters relative to regular ones


class ExampleError(UserError):
    """An image that differs from the manifest."""


@dataclass(frozen=True)
class Example:
    """An image that represents a class, at the size of the page: the images themselves may be large."""

    title: str
    caption: str
    picture: np.ndarray
    """(h, w, 3) uint8, with the outlines of the masks."""
    shows_others: bool
    """Whether it has defects of other classes."""


def typical_images(frame: pd.DataFrame, classes: Sequence[int]) -> list[tuple[int | None, int]]:
    """Select an image for each of ``classes`` that appears in any, and a clean one: (class, or None if clean; row).

    It is the image whose area of the class is nearest, in ratio, to the median over images of the class; images
    without other classes are preferred.
    """
    area = areas(frame)
    typical: list[tuple[int | None, int]] = []
    for c in classes:
        with_class = np.flatnonzero(area[:, c])
        only_this_class = with_class[(area[with_class] > 0).sum(axis=1) == 1]
        rows = only_this_class if len(only_this_class) else with_class
        if len(rows):
            distance = np.abs(np.log(area[rows, c] / np.median(area[with_class, c])))
            typical.append((c, int(rows[distance.argmin()])))
    clean = np.flatnonzero(area.sum(axis=1) == 0)
    return [*typical, (None, int(clean[len(clean) // 2]))] if len(clean) else typical


def read_examples(manifest: Manifest, root: Path) -> list[Example]:
    """Read the typical images, whose paths start at ``root``: at most MOST_EXAMPLES.

    Raises:
        ExampleError: if an image is missing, cannot be decoded or has another size than in the manifest.
    """
    typical = typical_images(manifest.frame, frequent_classes(manifest, MOST_EXAMPLES - 1))
    return [_read_example(manifest, root, c, manifest.frame.iloc[row]) for c, row in typical]


def _read_example(manifest: Manifest, root: Path, c: int | None, row: pd.Series) -> Example:
    path = root / row["path"]
    try:
        image = decode_picture(path.read_bytes(), row["stored_as"], row["channels"])
    except OSError as error:
        raise ExampleError(f"{path}: image cannot be read: {error.strerror}; ingest the dataset again") from None
    except ImageError as error:
        raise ExampleError(f"{path}: image {error}; ingest the dataset again") from None
    if image.shape[:2] != (row["height"], row["width"]):
        raise ExampleError(f"{path}: image has another size than in the manifest; ingest the dataset again")
    image = mark_ignored(image, manifest.ignored(row).astype(bool) if manifest.has_ignored else None)
    picture = _resize(image)
    del image  # before the masks are drawn: all of a large one would take much memory
    others = [other for other, area in enumerate(row["area"]) if area and other != c]
    for classes, colour in ((others, OF_OTHERS), ([] if c is None else [c], OF_CLASS)):
        if classes:
            picture[_outline(_union(row, classes), picture.shape[1::-1])] = np.rint(255 * np.array(to_rgb(colour)))
    if c is None:
        return Example(CLEAN, row["image_id"], picture, shows_others=False)
    share = row["area"][c] / (row["height"] * row["width"])
    return Example(manifest.class_names[c], f"{share:.2%} of {row['image_id']}", picture, bool(others))


def _union(row: pd.Series, classes: Sequence[int]) -> np.ndarray:
    """Pixels, (H, W) bool, of any of ``classes`` in a row of the manifest."""
    union = np.zeros((row["height"], row["width"]), bool)
    for c in classes:
        union |= decode_coco(row["rle"][c], *union.shape).view(bool)
    return union


@style.house_style
def examples_figure(examples: Sequence[Example], dataset: str, n_classes: int, has_ignored: bool = False) -> Figure:
    """Draw the examples one beside the other, as many in a row as there is room for."""
    pictures = [example.picture for example in examples]
    rows = _rows(pictures)
    lines = style.wrap(_explanations(dataset, n_classes, examples), PAGE / style.DPI)
    entries = [
        (OF_CLASS, "the class"),
        *([(OF_OTHERS, "other classes")] if any(example.shows_others for example in examples) else []),
        *overlay.ignored_legend(has_ignored),
    ]
    legend_top = style.heading_height(lines) + 0.05
    top = legend_top + style.LEGEND_ROW + 0.15
    heights = [CAPTION + BETWEEN + max(pictures[i].shape[0] for i, _ in row) / style.DPI for row in rows]
    figure = Figure(figsize=(PAGE / style.DPI + 2 * style.MARGIN, top + sum(heights) + 0.05), dpi=style.DPI)
    style.draw_heading(figure, "A typical image of each class", lines)
    style.draw_legend(figure, legend_top, "Outline", style.legend_rows(entries, PAGE / style.DPI))
    for row, height in zip(rows, heights, strict=True):
        for i, left in row:
            _draw(figure, style.MARGIN + left / style.DPI, top, examples[i])
        top += height
    return figure


def _rows(pictures: Sequence[np.ndarray]) -> list[list[tuple[int, int]]]:
    """Rows of ``pictures``, each by index and pixels from the left; no row is wider than the page."""
    rows: list[list[tuple[int, int]]] = [[]]
    left = 0
    for i, picture in enumerate(pictures):
        if rows[-1] and left + _room(picture) > PAGE:
            rows.append([])
            left = 0
        rows[-1].append((i, left))
        left += _room(picture) + GAP
    return rows


def _room(picture: np.ndarray) -> int:
    """Pixels that a picture and its caption may take from left to right."""
    return max(picture.shape[1], SHORTER)


def _explanations(dataset: str, n_classes: int, examples: Sequence[Example]) -> list[str]:
    n_shown = sum(example.title != CLEAN for example in examples)
    text = (
        f"{dataset}: for each class the image whose area of it is nearest to the median of all images that show it, if "
        "possible one without other classes."
    )
    return [text, *([f"{n_shown} of {n_classes} classes are shown."] if n_shown < n_classes else [])]


def _draw(figure: Figure, left: float, top: float, example: Example) -> None:
    """Draw one example below its caption, ``left`` and ``top`` inches from the figure's corner."""
    picture = example.picture
    width = _room(picture) / style.DPI
    style.write(figure, left, top, style.shorten(example.title, width / BOLDER), fontweight="bold")
    caption = style.shorten(example.caption, width, style.SMALL_SIZE)
    style.write(figure, left, top + style.LINE, caption, color=palette.MUTED, fontsize=style.SMALL_SIZE)
    above = figure.get_size_inches()[1] - top - CAPTION
    figure.figimage(picture, round(left * style.DPI), round(above * style.DPI) - picture.shape[0])


def _resize(image: np.ndarray) -> np.ndarray:
    """``image``, (H, W, 3), as large as the page allows."""
    height, width = image.shape[:2]
    scale = min(SHORTER / min(height, width), TALLEST / height, PAGE / width)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _outline(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The outermost pixels of ``mask`` at ``size``, (width, height); parts thinner than a pixel there are kept."""
    smaller = size[0] < mask.shape[1]
    interpolation = cv2.INTER_AREA if smaller else cv2.INTER_NEAREST
    inner = visible = cv2.resize(mask.astype(np.float32), size, interpolation=interpolation) > 0
    for _ in range(LINE):
        inner = inner & ~overlay.boundary(inner)
    return visible & ~inner

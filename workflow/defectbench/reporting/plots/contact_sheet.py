"""Contact sheet of a dataset that was read on trial: a wrong reading of its labels is seen at a glance."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from defectbench.data.deep_images import decode_picture
from defectbench.data.manifest import Manifest, areas
from defectbench.data.stripes import mark_ignored
from defectbench.reporting import overlay, palette
from defectbench.reporting.plots import style

MOST_IMAGES = 24
MOST_CLEAN = 3
PAGE, GAP, TALLEST = 1504, 24, 420  # pixels: width of a row, space between pictures, height of a picture
AREA = 62_000  # pixels of a picture of the usual aspect, about
CAPTION, BETWEEN = 0.42, 0.2  # inches of a caption, and between two rows


@dataclass(frozen=True)
class Picture:
    """An image at the size of the sheet, (H, W, 3), with its labels drawn; title and caption."""

    title: str
    caption: str
    image: np.ndarray


def choose_images(frame: pd.DataFrame, most: int = MOST_IMAGES) -> list[int]:
    """Rows of a manifest's ``frame`` that show what there is: of each class small and large defects, a few clean.

    The classes take turns; within each the images are evenly spaced by the area of the class.
    """
    area = areas(frame)
    clean = np.flatnonzero(area.sum(axis=1) == 0)
    chosen_clean = clean[_spread(len(clean), min(MOST_CLEAN, most // 4))]
    with_class = [np.flatnonzero(area[:, c]) for c in range(area.shape[1])]
    share = (most - len(chosen_clean)) // max(1, sum(len(rows) > 0 for rows in with_class))
    chosen: list[int] = []
    for c, rows in enumerate(with_class):
        by_area = rows[np.argsort(area[rows, c], kind="stable")]
        chosen += [int(row) for row in by_area[_spread(len(by_area), max(1, share))] if row not in chosen]
    return [*chosen[: most - len(chosen_clean)], *chosen_clean.tolist()]


def _spread(n_items: int, wanted: int) -> np.ndarray:
    """Positions of at most ``wanted`` of ``n_items``, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, n_items - 1, min(n_items, wanted)).round().astype(int))


def read_pictures(manifest: Manifest, root: Path, roles: Mapping[str, str]) -> list[Picture]:
    """Read the chosen images, whose paths start at ``root``, at the size of the sheet; ``roles`` by image id."""
    rows = [manifest.frame.iloc[row] for row in choose_images(manifest.frame)]
    width = _cell_width(manifest.frame)
    colours = list(overlay.class_colours(manifest.class_names).values())
    return [_read_picture(manifest, root, row, roles, width, colours) for row in rows]


def _cell_width(frame: pd.DataFrame) -> int:
    """Pixels of a picture's width, so that whole rows are filled."""
    aspect = float((frame["width"] / frame["height"]).median())
    columns = min(6, max(1, round(PAGE / (AREA * aspect) ** 0.5)))
    return (PAGE - GAP * (columns - 1)) // columns


def _read_picture(
    manifest: Manifest, root: Path, row: pd.Series, roles: Mapping[str, str], width: int, colours: list[str]
) -> Picture:
    image = decode_picture((root / row["path"]).read_bytes(), row["stored_as"], row["channels"])
    image = mark_ignored(image, manifest.ignored(row).astype(bool) if manifest.has_ignored else None)
    scale = min(width / image.shape[1], TALLEST / image.shape[0])
    size = max(1, round(scale * image.shape[1])), max(1, round(scale * image.shape[0]))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    masks = np.stack([_shrink(mask, size) for mask in manifest.masks(row)])
    areas_of = dict(zip(manifest.class_names, row["area"], strict=True))
    shown = [name for name, area in areas_of.items() if area]
    share = f" {sum(row['area']) / (row['height'] * row['width']):.2%}" if len(shown) == 1 else ""
    role = f", {roles.get(row['image_id'], 'no role')}" if roles else ""
    return Picture(
        row["image_id"], (", ".join(shown) or "clean") + share + role, overlay.draw_truth(small, masks, colours)
    )


def _shrink(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``mask`` at ``size``, (width, height), as bool; parts thinner than a pixel there are kept."""
    interpolation = cv2.INTER_AREA if size[0] < mask.shape[1] else cv2.INTER_NEAREST
    return cv2.resize(mask.astype(np.float32), size, interpolation=interpolation) > 0


@style.house_style
def contact_sheet(pictures: list[Picture], manifest: Manifest, heading: str) -> Figure:
    """Draw the pictures in rows; ``heading`` says how the labels were read."""
    text = (
        f"{heading} Outlines must lie on the defects, and colours mean what the classes are called; {len(pictures)} of"
        f" {len(manifest.frame):,} images, for each class from small to large."
    )
    lines = style.wrap([text], PAGE / style.DPI)
    entries = [(colour, name) for name, colour in overlay.class_colours(manifest.class_names).items()]
    entries += overlay.ignored_legend(manifest.has_ignored)
    legend = style.legend_rows(entries, PAGE / style.DPI - style.LEGEND_TITLE)
    legend_top = style.heading_height(lines) + 0.05
    top = legend_top + style.LEGEND_ROW * len(legend) + 0.15
    cell = _cell_width(manifest.frame)
    columns = (PAGE + GAP) // (cell + GAP)
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    heights = [CAPTION + BETWEEN + max(picture.image.shape[0] for picture in row) / style.DPI for row in rows]
    figure = Figure(figsize=(PAGE / style.DPI + 2 * style.MARGIN, top + sum(heights) + 0.05), dpi=style.DPI)
    style.draw_heading(figure, f"{manifest.dataset}: the labels as they were read", lines)
    style.draw_legend(figure, legend_top, "Class", legend)
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            _draw(figure, style.MARGIN + column * (cell + GAP) / style.DPI, top, cell / style.DPI, picture)
        top += height
    return figure


def _draw(figure: Figure, left: float, top: float, width: float, picture: Picture) -> None:
    """Draw a picture below its caption, ``left`` and ``top`` inches from the figure's corner, in ``width`` inches."""
    size = style.SMALL_SIZE
    style.write(figure, left, top, style.shorten(picture.title, width, size), fontsize=size)
    caption = style.shorten(picture.caption, width, size)
    style.write(figure, left, top + 0.85 * style.LINE, caption, color=palette.MUTED, fontsize=size)
    above = figure.get_size_inches()[1] - top - CAPTION
    figure.figimage(picture.image, round(left * style.DPI), round(above * style.DPI) - picture.image.shape[0])

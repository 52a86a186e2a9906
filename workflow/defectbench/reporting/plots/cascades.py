"""Cascades image by image: what the first stage found, as prompts, and what the second made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from defectbench.config.prompts import FIXED, prompts_path, track_of
from defectbench.data.packing import ImagePack, MaskPack
from defectbench.data.prompt_file import read_prompts
from defectbench.data.prompts import INSIDE, LOWER_RIGHT, OUTSIDE, UPPER_LEFT, Prompt
from defectbench.data.rle import decode_coco
from defectbench.evaluation import policies
from defectbench.evaluation.calibration import Calibration
from defectbench.metrics.counts import confusion, dice
from defectbench.reporting import overlay
from defectbench.reporting.image_choice import Shown, read_maps
from defectbench.reporting.plots import style
from defectbench.reporting.plots.prompting import prompted
from defectbench.reporting.plots.sheet import one_of_each, sheet
from defectbench.reporting.records import Record

TITLE = "Cascades: image, prompts, refined mask"
MOST_CASCADES, MOST_REJECTED = 3, 5
# Of no class and of no part of a mask.
COUNTED, REJECTED = "#00FFFF", "#FF2D55"


@dataclass(frozen=True)
class Tile:
    """A picture (H, W, 3) uint8, what is written above it, and the prompts drawn on it."""

    caption: str
    picture: np.ndarray
    prompts: Sequence[Prompt] = ()


def draw_cascades(records: Sequence[Record], pack: Path, prompts: Path) -> Figure:
    """Draw some test images through the best cascade of each source of prompts; ``prompts`` is the dataset's folder."""
    shown = _cascades(records)
    if not shown:
        return style.message(TITLE, "No experiment is asked by prompts that another one made.")
    images, masks = ImagePack(pack), MaskPack(pack)
    chosen = one_of_each(shown)
    ids = {item.image_id for item in chosen}
    stages = []
    for record in shown:
        row = record.row
        asked = read_prompts(prompts / prompts_path(row["prompt_source"], row["prompt_type"]), row["prompt_source"])
        stages.append((record, asked, read_maps(record.folder / "test.pred.parquet", ids)))
    rows, names = [], {record.exp_id: record.name for record in records}
    colours = list(overlay.class_colours(masks.class_names).values())
    for item in chosen:
        image, truth = images[item.image_id], masks[item.image_id].astype(bool)
        tiles = [Tile("image", overlay.as_rgb(image)), Tile("truth", overlay.draw_truth(image, truth, colours))]
        for record, asked, maps in stages:
            tiles.append(_asked(record, asked[item.image_id], image, names))
            tiles.append(_refined(record, maps[item.image_id], image, truth.any(axis=0)))
        rows.append((item, tiles))
    return _figure(rows, overlay.class_colours(masks.class_names))


def _cascades(records: Sequence[Record]) -> list[Record]:
    """Of each source of prompts the automatic cascade with the highest dice_all, best first."""
    ranked = sorted(
        (r for r in records if r.row["segmenter"] and track_of(r.row["prompt_source"]) == "automatic"),
        key=lambda record: -(record.row["dice_all"] or 0.0),
    )
    best: dict[str, Record] = {}
    for record in ranked:
        if record.row["prompt_source"] != FIXED:
            best.setdefault(record.row["prompt_source"], record)
    return list(best.values())[:MOST_CASCADES]


def _asked(record: Record, prompts: Sequence[Prompt], image: np.ndarray, names: Mapping[str, str]) -> Tile:
    """The prompts that count, and the best of the others."""
    counted = [prompt for prompt in prompts if prompt.margin >= 0]
    others = sorted((p for p in prompts if p.margin < 0), key=lambda p: -p.margin)
    caption = f"{len(counted)} of {len(prompts)} prompts count: {prompted(record, names)}"
    # Those that count lie on top.
    return Tile(caption, overlay.as_rgb(image), [*others[:MOST_REJECTED], *counted])


def _refined(record: Record, codes: np.ndarray, image: np.ndarray, truth: np.ndarray) -> Tile:
    mask = policies.masks(codes, Calibration(**record.calibration), image)[record.row["policy"]].any(axis=0)
    value = float(dice(*confusion(truth, mask)))
    return Tile(f"Dice {value:.3f}  {record.name}", overlay.draw_prediction(image, truth, mask))


@style.house_style
def _figure(rows: Sequence[tuple[Shown, Sequence[Tile]]], classes: dict[str, str]) -> Figure:
    text = (
        "Test images chosen by rule among those of these cascades: best, median and worst, and where they differ most. "
        "Prompts by the first stage, those whose score reaches its threshold, chosen on val, in full lines; of the "
        f"others at most {MOST_REJECTED}, dashed. Dots: points inside and, crossed, outside. Then the mask of the "
        "second stage at its calibrated threshold."
    )
    legends = {
        "Truth": [(colour, name) for name, colour in classes.items()],
        "Prompts": [(COUNTED, "count"), (REJECTED, "below the threshold")],
        "Mask": overlay.PREDICTION_LEGEND,
    }
    return sheet(TITLE, text, legends, rows, _show)


def _show(axes: Axes, tile: Tile) -> None:
    picture = np.array(tile.picture)
    for prompt in tile.prompts:
        if prompt.rle is not None:
            mask = decode_coco(prompt.rle, *picture.shape[:2])
            contours = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
            cv2.drawContours(picture, contours, -1, (255, 255, 255), 1)
    axes.imshow(picture, interpolation="nearest")
    for prompt in tile.prompts:
        colour, dashes = (COUNTED, "-") if prompt.margin >= 0 else (REJECTED, "--")
        x, y = prompt.points.T
        if UPPER_LEFT in prompt.labels:
            (x0, x1), (y0, y1) = (values[np.isin(prompt.labels, (UPPER_LEFT, LOWER_RIGHT))] for values in (x, y))
            # The corners are centres of pixels: the box is drawn around them.
            box = Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0 + 1, y1 - y0 + 1, fill=False, edgecolor=colour)
            box.set(linestyle=dashes, linewidth=1.2, gid="box")
            axes.add_patch(box)
        for label, marker in ((INSIDE, "o"), (OUTSIDE, "x")):
            chosen = prompt.labels == label
            axes.plot(x[chosen], y[chosen], marker, color=colour, markersize=3.5, markeredgewidth=1.2)

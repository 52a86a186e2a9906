"""Gallery of cascades: test images, the prompts of the first stage, and the refined masks of the second."""

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
from defectbench.data.stripes import mark_ignored
from defectbench.evaluation import policies
from defectbench.evaluation.calibration import Calibration
from defectbench.reporting import overlay
from defectbench.reporting.image_choice import SelectedImage, read_maps
from defectbench.reporting.masks import mask_dice, union_of_classes
from defectbench.reporting.plots import style
from defectbench.reporting.plots.prompting import describe_prompts
from defectbench.reporting.plots.sheet import first_of_each_kind, sheet_figure
from defectbench.reporting.records import Record

TITLE = "Cascades: image, prompts, refined mask"
MOST_CASCADES, MOST_REJECTED = 3, 5
# Not a colour of classes or masks.
ACCEPTED, REJECTED = "#00FFFF", "#FF2D55"


@dataclass(frozen=True)
class Tile:
    """A picture (H, W, 3) uint8, the text above it, and the prompts drawn on it."""

    caption: str
    picture: np.ndarray
    prompts: Sequence[Prompt] = ()


def draw_cascades(records: Sequence[Record], pack: Path, prompts: Path) -> Figure:
    """Draw test images with the best cascade of each source of prompts; ``prompts`` is the dataset's folder."""
    cascades = _best_cascades(records)
    if not cascades:
        return style.message_figure(TITLE, "No experiment is prompted by another one.")
    images, masks = ImagePack(pack), MaskPack(pack)
    selected_images = first_of_each_kind(cascades)
    ids = {item.image_id for item in selected_images}
    stages = []
    for record in cascades:
        row = record.row
        prompts_by_image = read_prompts(
            prompts / prompts_path(row["prompt_source"], row["prompt_type"]), row["prompt_source"]
        )
        stages.append((record, prompts_by_image, read_maps(record.folder / "test.pred.parquet", ids)))
    rows, names = [], {record.exp_id: record.name for record in records}
    colours = list(overlay.class_colours(masks.class_names).values())
    for item in selected_images:
        image, truth = images[item.image_id], masks[item.image_id].astype(bool)
        ignored = masks.ignored(item.image_id)
        marked = mark_ignored(image, ignored)
        tiles = [Tile("image", overlay.as_rgb(marked)), Tile("truth", overlay.draw_truth(marked, truth, colours))]
        for record, prompts_by_image, maps in stages:
            tiles.append(_prompt_tile(record, prompts_by_image[item.image_id], marked, names))
            by_policy = policies.masks(maps[item.image_id], Calibration(**record.calibration), image, ignored)
            mask = union_of_classes(by_policy[record.row["policy"]])
            tiles.append(_mask_tile(record, mask, marked, union_of_classes(truth)))
        rows.append((item, tiles))
    return _figure(rows, overlay.class_colours(masks.class_names), masks.has_ignored)


def _best_cascades(records: Sequence[Record]) -> list[Record]:
    """The automatic cascade with the highest dice_all for each source of prompts, best first."""
    ranked = sorted(
        (r for r in records if r.row["segmenter"] and track_of(r.row["prompt_source"]) == "automatic"),
        key=lambda record: -(record.row["dice_all"] or 0.0),
    )
    best: dict[str, Record] = {}
    for record in ranked:
        if record.row["prompt_source"] != FIXED:
            best.setdefault(record.row["prompt_source"], record)
    return list(best.values())[:MOST_CASCADES]


def _prompt_tile(record: Record, prompts: Sequence[Prompt], image: np.ndarray, names: Mapping[str, str]) -> Tile:
    """The accepted prompts, and the best of the rejected ones."""
    accepted = [prompt for prompt in prompts if prompt.margin >= 0]
    rejected = sorted((p for p in prompts if p.margin < 0), key=lambda p: -p.margin)
    caption = f"{len(accepted)} of {len(prompts)} prompts accepted: {describe_prompts(record, names)}"
    # The accepted ones are on top.
    return Tile(caption, overlay.as_rgb(image), [*rejected[:MOST_REJECTED], *accepted])


def _mask_tile(record: Record, mask: np.ndarray, image: np.ndarray, truth: np.ndarray) -> Tile:
    value = mask_dice(truth, mask)
    return Tile(f"Dice {value:.3f}  {record.name}", overlay.draw_prediction(image, truth, mask))


@style.house_style
def _figure(rows: Sequence[tuple[SelectedImage, Sequence[Tile]]], classes: dict[str, str], has_ignored: bool) -> Figure:
    text = (
        "Test images selected by rule: best, median and worst of these cascades, and where they differ most. Prompts "
        "of the first stage: solid if their score reaches its threshold, chosen on val; of the others at most "
        f"{MOST_REJECTED}, dashed. Dots: points inside; crosses: points outside. Then the mask of the second stage at "
        "its calibrated threshold."
    )
    legends = {
        "Truth": [(colour, name) for name, colour in classes.items()],
        "Prompts": [(ACCEPTED, "accepted"), (REJECTED, "below the threshold")],
        "Mask": overlay.prediction_legend(has_ignored),
    }
    return sheet_figure(TITLE, text, legends, rows, _draw_tile)


def _draw_tile(axes: Axes, tile: Tile) -> None:
    picture = np.array(tile.picture)
    for prompt in tile.prompts:
        if prompt.rle is not None:
            mask = decode_coco(prompt.rle, *picture.shape[:2])
            contours = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
            cv2.drawContours(picture, contours, -1, (255, 255, 255), 1)
    axes.imshow(picture, interpolation="nearest")
    for prompt in tile.prompts:
        colour, dashes = (ACCEPTED, "-") if prompt.margin >= 0 else (REJECTED, "--")
        x, y = prompt.points.T
        if UPPER_LEFT in prompt.labels:
            (x0, x1), (y0, y1) = (values[np.isin(prompt.labels, (UPPER_LEFT, LOWER_RIGHT))] for values in (x, y))
            # Corners are centres of pixels: the box is drawn around them.
            box = Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0 + 1, y1 - y0 + 1, fill=False, edgecolor=colour)
            box.set(linestyle=dashes, linewidth=1.2, gid="box")
            axes.add_patch(box)
        for label, marker in ((INSIDE, "o"), (OUTSIDE, "x")):
            matching = prompt.labels == label
            axes.plot(x[matching], y[matching], marker, color=colour, markersize=3.5, markeredgewidth=1.2)

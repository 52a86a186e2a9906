"""The same test images through the eyes of several models, before and after post-processing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from defectbench.data.packing import ImagePack, MaskPack
from defectbench.evaluation import policies
from defectbench.evaluation.calibration import Calibration
from defectbench.metrics.counts import confusion, dice
from defectbench.reporting import overlay
from defectbench.reporting.image_choice import Shown, read_maps
from defectbench.reporting.plots import style
from defectbench.reporting.plots.lines import best_of
from defectbench.reporting.plots.sheet import one_of_each, sheet
from defectbench.reporting.records import Record

TITLE = "The same images, model by model"
MOST_MODELS = 4
LONGEST = 800  # pixels of a picture's longer side; larger ones are thinned out


@dataclass(frozen=True)
class Tile:
    """A picture, (H, W, 3) uint8, and what is written above it."""

    caption: str
    picture: np.ndarray


def draw_gallery_models(records: Sequence[Record], pack: Path) -> Figure:
    """Draw one image of each kind of :func:`choose` with the masks of each family's best experiment, then others."""
    shown_models = _models(records)
    if not shown_models:
        return style.message(TITLE, "No experiment of the automatic track has a value of dice_all.")
    images, masks = ImagePack(pack), MaskPack(pack)
    chosen = one_of_each([record for record in records if record.row["track"] == "automatic"])
    maps = [read_maps(r.folder / "test.pred.parquet", {item.image_id for item in chosen}) for r in shown_models]
    rows = []
    for item in chosen:
        image, truth = images[item.image_id], masks[item.image_id].astype(bool)
        colours = list(overlay.class_colours(masks.class_names).values())
        tiles = [Tile("image", overlay.as_rgb(image)), Tile("truth", overlay.draw_truth(image, truth, colours))]
        for record, own in zip(shown_models, maps, strict=True):
            tiles += _tiles(record, own[item.image_id], image, truth.any(axis=0))
        rows.append((item, tiles))
    return _figure(rows, overlay.class_colours(masks.class_names))


def _models(records: Sequence[Record]) -> list[Record]:
    """The best of each family, then others, best first."""
    ranked, _ = best_of(records, "automatic", len(records))
    families: dict[str, Record] = {}
    for record in ranked:
        families.setdefault(record.row["family"], record)
    others = [record for record in ranked if record not in families.values()]
    return [*families.values(), *others][:MOST_MODELS]


def _tiles(record: Record, codes: np.ndarray, image: np.ndarray, truth: np.ndarray) -> Iterator[Tile | None]:
    """Without and with post-processing; None where none was sought, so that pairs stay side by side."""
    by_policy = policies.masks(codes, Calibration(**record.calibration), image)
    for policy, suffix in ((record.row["policy"], ""), (policies.POST_PROCESSED, ", post-processed")):
        if policy not in by_policy:
            yield None
            continue
        prediction = by_policy[policy].any(axis=0)
        value = float(dice(*confusion(truth, prediction)))
        yield Tile(f"{value:.3f}  {record.name}{suffix}", overlay.draw_prediction(image, truth, prediction))


@style.house_style
def _figure(rows: Sequence[tuple[Shown, Sequence[Tile | None]]], classes: dict[str, str]) -> Figure:
    text = (
        "One image of each kind, chosen by rule among the defective test images, and the clean one that models "
        "disagree on most. Above each picture: Dice of the image, 1 if truth and prediction are empty. At most "
        f"{MOST_MODELS} models: the best of each family first."
    )
    legends = {"Truth": [(colour, name) for name, colour in classes.items()], "Prediction": overlay.PREDICTION_LEGEND}
    return sheet(TITLE, text, legends, rows, _show)


def _show(axes: Axes, tile: Tile) -> None:
    step = -(-max(tile.picture.shape) // LONGEST)
    axes.imshow(tile.picture[::step, ::step], interpolation="nearest")

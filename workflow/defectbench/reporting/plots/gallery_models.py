"""Gallery of models: the same test images with the masks of several models, before and after post-processing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from defectbench.data.packing import ImagePack, MaskPack
from defectbench.data.stripes import mark_ignored
from defectbench.evaluation import policies
from defectbench.evaluation.calibration import Calibration
from defectbench.reporting import overlay
from defectbench.reporting.image_choice import SelectedImage, read_maps
from defectbench.reporting.masks import mask_dice, union_of_classes
from defectbench.reporting.plots import style
from defectbench.reporting.plots.lines import best_of
from defectbench.reporting.plots.sheet import first_of_each_kind, sheet_figure
from defectbench.reporting.records import Record

TITLE = "The same images, model by model"
MOST_MODELS = 4
LONGEST = 800  # pixels of a picture's longer side; larger ones are thinned out


@dataclass(frozen=True)
class Tile:
    """A picture, (H, W, 3) uint8, and the text above it."""

    caption: str
    picture: np.ndarray


def draw_gallery_models(records: Sequence[Record], pack: Path) -> Figure:
    """Draw an image of each kind of :func:`select_images` with the masks of the best experiments."""
    models = _best_models(records)
    if not models:
        return style.message_figure(TITLE, "No experiment of the automatic track has a value of dice_all.")
    images, masks = ImagePack(pack), MaskPack(pack)
    selected_images = first_of_each_kind([record for record in records if record.row["track"] == "automatic"])
    maps = [read_maps(r.folder / "test.pred.parquet", {item.image_id for item in selected_images}) for r in models]
    rows = []
    for item in selected_images:
        image, truth = images[item.image_id], masks[item.image_id].astype(bool)
        ignored = masks.ignored(item.image_id)
        marked = mark_ignored(image, ignored)
        colours = list(overlay.class_colours(masks.class_names).values())
        tiles: list[Tile | None] = [
            Tile("image", overlay.as_rgb(marked)),
            Tile("truth", overlay.draw_truth(marked, truth, colours)),
        ]
        for record, maps_of_model in zip(models, maps, strict=True):
            by_policy = policies.masks(maps_of_model[item.image_id], Calibration(**record.calibration), image, ignored)
            tiles += _tiles(record, by_policy, marked, union_of_classes(truth))
        rows.append((item, tiles))
    return _figure(rows, overlay.class_colours(masks.class_names), masks.has_ignored)


def _best_models(records: Sequence[Record]) -> list[Record]:
    """The best of each family, then others, best first."""
    ranked, _ = best_of(records, "automatic", len(records))
    families: dict[str, Record] = {}
    for record in ranked:
        families.setdefault(record.row["family"], record)
    others = [record for record in ranked if record not in families.values()]
    return [*families.values(), *others][:MOST_MODELS]


def _tiles(
    record: Record, by_policy: dict[str, np.ndarray], image: np.ndarray, truth: np.ndarray
) -> Iterator[Tile | None]:
    """Masks without and with post-processing; None where none was tried, so that pairs stay side by side."""
    for policy, suffix in ((record.row["policy"], ""), (policies.POST_PROCESSED, ", post-processed")):
        if policy not in by_policy:
            yield None
            continue
        prediction = union_of_classes(by_policy[policy])
        value = mask_dice(truth, prediction)
        yield Tile(f"{value:.3f}  {record.name}{suffix}", overlay.draw_prediction(image, truth, prediction))


@style.house_style
def _figure(
    rows: Sequence[tuple[SelectedImage, Sequence[Tile | None]]], classes: dict[str, str], has_ignored: bool
) -> Figure:
    text = (
        "One image of each kind, selected by rule among the defective test images, and the clean one that models "
        "disagree on most. Above each picture: Dice of the image, 1 if truth and prediction are empty. At most "
        f"{MOST_MODELS} models: the best of each family first."
    )
    legends = {
        "Truth": [(colour, name) for name, colour in classes.items()],
        "Prediction": overlay.prediction_legend(has_ignored),
    }
    return sheet_figure(TITLE, text, legends, rows, _draw_tile)


def _draw_tile(axes: Axes, tile: Tile) -> None:
    step = -(-max(tile.picture.shape) // LONGEST)
    axes.imshow(tile.picture[::step, ::step], interpolation="nearest")

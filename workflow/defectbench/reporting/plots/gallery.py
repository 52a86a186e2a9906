"""What the best model finds and what it misses: test images, their true masks and the predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from defectbench.data.packing import MaskPack
from defectbench.files import read_json
from defectbench.inference.prediction_file import MERGED
from defectbench.metrics.codes import N_BINS
from defectbench.reporting.plots import overlay, style, words
from defectbench.reporting.plots.samples import Sample, choose_images, read_counts, read_samples

TITLE = "What the best model finds, and what it misses"
PAGE, TALLEST, GAP = 1600, 1000, 10  # pixels: width of a row of pictures, largest height of one, space between them
NARROWEST = 1200  # pixels: the text needs that much
MARGIN, CAPTION = round(style.MARGIN * style.DPI), round(2.2 * style.LINE * style.DPI)
ASPECT_OF_STRIPS = 2
PREDICTION_LEGEND = [(overlay.HIT, "hit"), (overlay.FALSE_ALARM, "false alarm"), (overlay.MISSED, "missed")]


@dataclass(frozen=True)
class Layout:
    """How the three pictures of a sample stand: on top of one another or side by side, enlarged or thinned out."""

    stacked: bool
    scale: int
    step: int

    @classmethod
    def of(cls, shapes: Sequence[tuple[int, int]]) -> Self:
        """The layout that suits the largest of images with ``shapes``, (height, width) each."""
        height, width = np.max(shapes, axis=0)
        stacked = width > ASPECT_OF_STRIPS * height
        room = PAGE if stacked else (PAGE - 2 * GAP) // 3
        fits = min(room / width, TALLEST / height)
        return cls(stacked, scale=max(1, int(fits)), step=int(np.ceil(1 / fits)))

    @property
    def explanation(self) -> str:
        """The layout in words."""
        order = "From top to bottom" if self.stacked else "From left to right"
        size = f"enlarged {self.scale} times" if self.scale > 1 else "at its own size"
        every = f"one pixel in {self.step} of each row and column" if self.step > 1 else f"each {size}"
        return f"{order}: image, truth, prediction of any class; {every}."

    def shown(self, sample: Sample) -> tuple[int, int]:
        """Height and width in which one picture of ``sample`` is shown."""
        height, width = (-(-size // self.step) * self.scale for size in sample.image.shape[:2])
        return height, width

    def places(self, sample: Sample) -> list[tuple[int, int]]:
        """Pixels to the right and down from the sample's corner to those of its three pictures."""
        height, width = self.shown(sample)
        return [(0, i * (height + GAP)) if self.stacked else (i * (width + GAP), 0) for i in range(3)]

    def height(self, sample: Sample) -> int:
        """Height of the three pictures."""
        return self.places(sample)[-1][1] + self.shown(sample)[0]

    def width(self, sample: Sample) -> int:
        """Width of the three pictures."""
        return self.places(sample)[-1][0] + self.shown(sample)[1]


def draw_gallery(table: pd.DataFrame, folders: Sequence[Path], pack: Path, n_images: int) -> Figure:
    """Draw ``n_images`` test images with the masks of the automatic track's best row by dice_all.

    ``table`` holds the rows of results.parquet, ``folders`` the experiments' folders, each of its experiment's name.
    """
    rows = words.track(table, "automatic", "dice_all")
    if rows.empty:
        return style.message(TITLE, "No experiment of the automatic track has a value of dice_all.")
    best = rows.iloc[0].to_dict()
    folder = next(folder for folder in folders if folder.name == best["exp_id"])
    samples = read_samples(folder, pack, choose_images(read_counts(folder), n_images))
    lines = explanations(best, read_json(folder / "calibration.json"))
    return gallery_figure(samples, MaskPack(pack).class_names, lines)


def explanations(best: dict[str, Any], calibration: dict[str, Any]) -> list[str]:
    """Which model, threshold and images the pictures show, in words."""
    model = (
        f"{best['dataset']}: {best['label']}, trained on {words.count(best['n_labels_train'])} labels, the best of the "
        f"automatic track: {words.TITLES['dice_all']} {best['dice_all']:.3f}."
    )
    chosen = [
        f"{k / N_BINS:.2f}" + ("" if name == MERGED else f" ({name})") for name, k in calibration["thresholds"].items()
    ]
    threshold = f"Threshold chosen on val images: p ≥ {', '.join(chosen)}. No post-processing."
    images = (
        "Test images at evenly spaced ranks of Dice among the defective ones, best first; last, if there is one, "
        "the clean image with the largest false alarm."
    )
    return [model, threshold if calibration["has_scores"] else "Yes/no predictions: no threshold.", images]


@style.house_style
def gallery_figure(samples: Sequence[Sample], class_names: Sequence[str], lines: Sequence[str]) -> Figure:
    """Draw the samples, each pixel of an image as a square of whole pixels, below ``lines`` that say what they are."""
    layout = Layout.of([sample.image.shape[:2] for sample in samples])
    width = max(NARROWEST, *(layout.width(sample) for sample in samples))
    texts = style.wrapped([*lines, layout.explanation], width / style.DPI)
    colours = overlay.class_colours(class_names)
    entries = {"Truth": [(colour, name) for name, colour in colours.items()], "Prediction": PREDICTION_LEGEND}
    legends = {title: style.legend_rows(own, width / style.DPI - style.LEGEND_TITLE) for title, own in entries.items()}
    legend_top = style.heading_height(texts) + 0.08
    head = round((legend_top + style.LEGEND_ROW * sum(map(len, legends.values())) + 0.12) * style.DPI)
    height = head + sum(layout.height(sample) + CAPTION + MARGIN for sample in samples)
    # A tenth of a pixel more, so that rounding cannot lose the last one.
    figure = Figure(figsize=((width + 2 * MARGIN + 0.1) / style.DPI, (height + 0.1) / style.DPI), dpi=style.DPI)
    style.heading(figure, TITLE, texts)
    for title, rows in legends.items():
        style.legend(figure, legend_top, title, rows)
        legend_top += style.LEGEND_ROW * len(rows)
    bottom = height - head
    for sample in samples:
        _draw_sample(figure, bottom, sample, layout, colours)
        bottom -= layout.height(sample) + CAPTION + MARGIN
    return figure


def _draw_sample(figure: Figure, top: int, sample: Sample, layout: Layout, colours: dict[str, str]) -> None:
    """Draw one sample downwards from ``top``, pixels above the figure's lower edge."""
    inches = figure.get_size_inches()[1] - top / style.DPI
    style.write(figure, style.MARGIN, inches, sample.choice.image_id, fontweight="bold")
    style.write(figure, style.MARGIN, inches + style.LINE, sample.choice.caption)
    for picture, (right, down) in zip(_pictures(sample, layout, colours), layout.places(sample), strict=True):
        figure.figimage(picture, MARGIN + right, top - CAPTION - down - picture.shape[0])


def _pictures(sample: Sample, layout: Layout, colours: dict[str, str]) -> list[np.ndarray]:
    """Image, truth and prediction as they are shown."""
    every = slice(None, None, layout.step)
    image, prediction = sample.image[every, every], sample.prediction[every, every]
    truth = sample.truth[:, every, every]
    drawn = [
        overlay.as_rgb(image),
        overlay.draw_truth(image, truth, list(colours.values())),
        overlay.draw_prediction(image, truth.any(axis=0), prediction),
    ]
    return [picture.repeat(layout.scale, axis=0).repeat(layout.scale, axis=1) for picture in drawn]

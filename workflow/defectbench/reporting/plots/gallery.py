"""Gallery of the best model: test images, their true masks and the predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from defectbench.config.base import MERGED
from defectbench.config.report import ReportSettings, ResultsSettings
from defectbench.data.packing import MaskPack
from defectbench.evaluation import policies
from defectbench.evaluation.calibration import Calibration
from defectbench.files import read_json
from defectbench.metrics.codes import N_BINS
from defectbench.reporting import overlay, words
from defectbench.reporting.masks import union_of_classes
from defectbench.reporting.plots import style
from defectbench.reporting.plots.gallery_images import (
    Sample,
    is_post_processed,
    read_counts,
    read_samples,
    select_by_band,
    select_by_rank,
)

TITLE = "What the best model finds, and what it misses"
PAGE, TALLEST, GAP = 1600, 1000, 10  # pixels: width of a row of pictures, largest height of one, space between them
NARROWEST = 1200  # pixels: the text needs that much
MARGIN, CAPTION = round(style.MARGIN * style.DPI), round(2.2 * style.LINE * style.DPI)
ASPECT_OF_STRIPS = 2
BY_RANK = (
    "Test images at evenly spaced ranks of Dice among the defective ones, best first; last, if there is one, the clean "
    "image with the largest false alarm."
)


@dataclass(frozen=True)
class Layout:
    """Arrangement of the pictures of a sample: stacked or side by side, enlarged or thinned out."""

    n: int
    """Pictures of a sample: 3, or 4 with the post-processed one"""
    stacked: bool
    scale: int
    step: int

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Self:
        """The layout that suits the largest of the images of ``samples``."""
        height, width = np.max([sample.image.shape[:2] for sample in samples], axis=0)
        n = 3 + (samples[0].post_processed is not None)
        stacked = width > ASPECT_OF_STRIPS * height
        room = PAGE if stacked else (PAGE - (n - 1) * GAP) // n
        fits = min(room / width, TALLEST / height)
        return cls(n, stacked, scale=max(1, int(fits)), step=int(np.ceil(1 / fits)))

    @property
    def explanation(self) -> str:
        """The layout in words."""
        order = "From top to bottom" if self.stacked else "From left to right"
        size = f"enlarged {self.scale} times" if self.scale > 1 else "at its own size"
        every = f"one pixel in {self.step} of each row and column" if self.step > 1 else f"each {size}"
        after = ", the same after post-processing" if self.n > 3 else ""
        return f"{order}: image, truth, prediction of any class{after}; {every}."

    def displayed_size(self, sample: Sample) -> tuple[int, int]:
        """Height and width of a displayed picture of ``sample``."""
        height, width = (-(-size // self.step) * self.scale for size in sample.image.shape[:2])
        return height, width

    def places(self, sample: Sample) -> list[tuple[int, int]]:
        """Offsets (right, down) of the pictures from the sample's corner, in pixels."""
        height, width = self.displayed_size(sample)
        return [(0, i * (height + GAP)) if self.stacked else (i * (width + GAP), 0) for i in range(self.n)]

    def height(self, sample: Sample) -> int:
        """Height of all pictures."""
        return self.places(sample)[-1][1] + self.displayed_size(sample)[0]

    def width(self, sample: Sample) -> int:
        """Width of all pictures."""
        return self.places(sample)[-1][0] + self.displayed_size(sample)[1]


def gallery_by_rank(
    settings: ReportSettings, experiments: ResultsSettings, results: pd.DataFrame, pack: Path
) -> Figure:
    """Draw images at evenly spaced ranks of Dice."""
    return draw_gallery(results, experiments.experiments, pack, settings.gallery_images)


def gallery_by_band(
    settings: ReportSettings, experiments: ResultsSettings, results: pd.DataFrame, pack: Path
) -> Figure:
    """Draw images of the bands of IoU that the study names."""
    return draw_gallery(results, experiments.experiments, pack, settings.gallery_images, settings.gallery_bands)


def draw_gallery(
    table: pd.DataFrame,
    folders: Sequence[Path],
    pack: Path,
    n_images: int,
    bands: Sequence[tuple[float, float]] = (),
) -> Figure:
    """Draw ``n_images`` test images with the masks of the automatic track's best by dice_all.

    The masks are the ones of this dice_all, and beside them the post-processed ones. ``table`` holds the
    rows of results.parquet, ``folders`` the experiments' folders, named by experiment id. With ``bands``
    (lowest and highest IoU) the images are from these bands.
    """
    rows = words.label_rows(table, "automatic", "dice_all")
    if rows.empty:
        return style.message_figure(TITLE, "No experiment of the automatic track has a value of dice_all.")
    best = rows.iloc[0].to_dict()
    folder = next(folder for folder in folders if folder.name == best["exp_id"])
    calibration = Calibration(**read_json(folder / "calibration.json"))
    counts = read_counts(folder, best["policy"])
    if bands:
        by_band = select_by_band(counts, bands, n_images)
        choices = [choice for of_band in by_band.values() for choice in of_band]
        selection = f"Test images by their IoU, at evenly spaced ranks of each band. {'; '.join(by_band)}."
    else:
        choices, selection = select_by_rank(counts, n_images), BY_RANK
    lines = explanations(best, calibration, selection)
    if not choices:
        return style.message_figure(TITLE, " ".join(lines))
    samples = read_samples(folder, pack, choices, calibration, best["policy"])
    masks = MaskPack(pack)
    return gallery_figure(samples, masks.class_names, lines, masks.has_ignored)


def explanations(best: dict[str, Any], calibration: Calibration, images: str) -> list[str]:
    """Which model, thresholds, post-processing and ``images`` the pictures show, in words."""
    model = (
        f"{best['dataset']}: {best['label']}, trained on {words.format_labels(best['n_labels_train'])} labels, the "
        f"best of the automatic track: {words.TITLES['dice_all']} {best['dice_all']:.3f}."
    )
    return [model, f"{_threshold(calibration, best['policy'])} {_post_processing(calibration, best['policy'])}", images]


def _threshold(calibration: Calibration, policy: str) -> str:
    if not calibration.has_scores:
        return "Yes/no predictions: no threshold."
    if policy == policies.AT_HALF:
        return "Threshold p ≥ 0.5, as in its metrics: this model saw no labels, not even of val images."
    return f"Threshold chosen on val images: p ≥ {_by_class(calibration.thresholds)}."


def _post_processing(calibration: Calibration, policy: str) -> str:
    if not is_post_processed(calibration, policy):
        return "No post-processing."
    pipelines = {name: calibration.pipeline(name) for name in calibration.post_processed}
    thresholds = _by_class({name: k for name, (k, _) in pipelines.items()})
    steps = "; ".join(str(pipeline) + _of_class(name) for name, (_, pipeline) in pipelines.items())
    return f"Post-processing chosen on val images, at p ≥ {thresholds}: {steps}."


def _by_class(thresholds: dict[str, int]) -> str:
    return ", ".join(f"{k / N_BINS:.2f}{_of_class(name)}" for name, k in thresholds.items())


def _of_class(name: str) -> str:
    return "" if name == MERGED else f" ({name})"


@style.house_style
def gallery_figure(
    samples: Sequence[Sample], class_names: Sequence[str], lines: Sequence[str], has_ignored: bool = False
) -> Figure:
    """Draw the samples, each pixel of an image as a square of whole pixels, below explanatory ``lines``."""
    layout = Layout.of(samples)
    width = max(NARROWEST, *(layout.width(sample) for sample in samples))
    texts = style.wrap([*lines, layout.explanation], width / style.DPI)
    colours = overlay.class_colours(class_names)
    entries = {
        "Truth": [(colour, name) for name, colour in colours.items()],
        "Prediction": overlay.prediction_legend(has_ignored),
    }
    legends = {
        title: style.legend_rows(legend_entries, width / style.DPI - style.LEGEND_TITLE)
        for title, legend_entries in entries.items()
    }
    legend_top = style.heading_height(texts) + 0.08
    head = round((legend_top + style.LEGEND_ROW * sum(map(len, legends.values())) + 0.12) * style.DPI)
    height = head + sum(layout.height(sample) + CAPTION + MARGIN for sample in samples)
    # A tenth of a pixel more, so that rounding cannot lose the last one.
    figure = Figure(figsize=((width + 2 * MARGIN + 0.1) / style.DPI, (height + 0.1) / style.DPI), dpi=style.DPI)
    style.draw_heading(figure, TITLE, texts)
    for title, rows in legends.items():
        style.draw_legend(figure, legend_top, title, rows)
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
    style.write(figure, style.MARGIN, inches + style.LINE, sample.caption)
    for picture, (right, down) in zip(_pictures(sample, layout, colours), layout.places(sample), strict=True):
        figure.figimage(picture, MARGIN + right, top - CAPTION - down - picture.shape[0])


def _pictures(sample: Sample, layout: Layout, colours: dict[str, str]) -> list[np.ndarray]:
    """Image, truth and predictions as displayed."""
    every = slice(None, None, layout.step)
    image, truth = sample.image[every, every], sample.truth[:, every, every]
    predictions = [mask[every, every] for mask in (sample.prediction, sample.post_processed) if mask is not None]
    pictures = [
        overlay.as_rgb(image),
        overlay.draw_truth(image, truth, list(colours.values())),
        *(overlay.draw_prediction(image, union_of_classes(truth), prediction) for prediction in predictions),
    ]
    return [picture.repeat(layout.scale, axis=0).repeat(layout.scale, axis=1) for picture in pictures]

"""Plot of augmentations: training images beside several samples of each augmentation, masks outlined."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from defectbench.config.augment import AugmentationsSettings, AugmentSettings
from defectbench.data.packing import IGNORED, ImagePack, MaskPack
from defectbench.data.stripes import mark_ignored
from defectbench.reporting import overlay
from defectbench.reporting.plots import style
from defectbench.training.augmentation import make_augmentation

TITLE = "Augmentation: what the networks see in training"
N_SAMPLES = 4
PAGE, GAP = 1500, 10  # pixels: width of a row of pictures, space between them
TALLEST = 500  # pixels
ASPECT_OF_STRIPS = 2
BOLDER = 1.15  # width of bold letters relative to regular ones


def select_training_images(pack: Path, image_ids: Sequence[str], n: int) -> list[str]:
    """Ids of ``n`` defective images, evenly spaced in the order of their ids; of any images if none is defective."""
    areas = MaskPack(pack).areas()
    candidates = sorted(image_id for image_id in image_ids if any(areas[image_id])) or sorted(image_ids)
    positions = np.linspace(0, len(candidates) - 1, min(n, len(candidates))).round().astype(int)
    return [candidates[place] for place in positions]


def augmented_samples(
    image: np.ndarray, masks: np.ndarray, settings: AugmentSettings, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images and masks (C, H, W): the original, then N_SAMPLES augmentations of it."""
    augmentation = make_augmentation(settings)
    assert augmentation is not None, "settings that change nothing have no samples"
    samples = [(image, masks)]
    for number in range(N_SAMPLES):
        augmentation.set_random_seed(seed + number)
        augmented = augmentation(image=image, mask=cv2.merge(tuple(masks)))
        samples.append((augmented["image"], np.stack(cv2.split(augmented["mask"]))))
    return samples


def draw_augmentations(settings: AugmentationsSettings, pack: Path, split: pd.DataFrame) -> Figure:
    """Draw the study's augmentations on training images of ``split``, which has image_id and role."""
    train_ids = split.loc[split["role"] == "train", "image_id"].tolist()
    return augmentations_figure(settings.augmentations, pack, train_ids)


@style.house_style
def augmentations_figure(augmentations: Sequence[AugmentSettings], pack: Path, image_ids: Sequence[str]) -> Figure:
    """Draw every augmentation that changes anything, on a few of the training images ``image_ids``."""
    visible = [settings for settings in augmentations if not settings.is_none]
    if not visible:
        return style.message_figure(TITLE, "No experiment augments its training images.")
    images, masks = ImagePack(pack), MaskPack(pack)
    height, width = images.largest
    strips = width > ASPECT_OF_STRIPS * height
    selected_ids = select_training_images(pack, image_ids, 2 if strips else 3)
    colours = list(overlay.class_colours(masks.class_names).values())
    grids = []
    for settings in visible:
        pictures = []
        for place, image_id in enumerate(selected_ids):
            samples = augmented_samples(images[image_id], masks.read_marked(image_id), settings, seed=N_SAMPLES * place)
            pictures.append([_draw_sample(image, mask, colours) for image, mask in samples])
        # Strips are stacked, other pictures are side by side.
        grids.append(_grid(list(zip(*pictures, strict=True)) if strips else pictures))
    lines = style.wrap([_explanation(strips, masks.has_ignored)], PAGE / style.DPI)
    return _figure(lines, [style.wrap([_describe(settings)], PAGE / style.DPI / BOLDER) for settings in visible], grids)


def _draw_sample(image: np.ndarray, masks: np.ndarray, colours: Sequence[str]) -> np.ndarray:
    """``image`` with the outlines of ``masks`` (C, H, W), 0, 1 and IGNORED."""
    ignored = masks[0] == IGNORED
    return overlay.draw_truth(mark_ignored(image, ignored if ignored.any() else None), masks == 1, colours)


def _explanation(strips: bool, has_ignored: bool) -> str:
    where = "From top to bottom" if strips else "From left to right"
    striped = ", ignored pixels striped" if has_ignored else ""
    return f"{where}: an original training image, then {N_SAMPLES} samples; the true masks are outlined{striped}."


def _describe(settings: AugmentSettings) -> str:
    """The steps of an augmentation, with their probabilities and strengths."""
    steps = {
        "horizontal flip": settings.hflip,
        "vertical flip": settings.vflip,
        "quarter turns": settings.rotate90,
        f"rotation up to {settings.degrees:g}°": settings.rotate,
        f"elastic shifts of {settings.elastic_shift:g} px": settings.elastic,
        f"brightness ±{settings.brightness:.0%}, contrast ±{settings.contrast:.0%}": settings.tone,
        f"noise of up to {255 * settings.noise_std:.0f} grey levels": settings.noise,
        f"blur of up to {settings.blur_kernel} px": settings.blur,
    }
    summary = "; ".join(f"{step} in {p:.0%}" for step, p in steps.items() if p)
    return f"{'steel' if settings.model_dump() == 'steel' else 'changed'}: {summary} of the samples"


def _grid(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Pictures (H, W, 3) in rows, all brought to the same width, on white."""
    n = max(map(len, rows))
    width = (PAGE - (n - 1) * GAP) // n
    bands = []
    for row in rows:
        scaled = [_fit(picture, width) for picture in row]
        band = np.full((max(picture.shape[0] for picture in scaled) + GAP, PAGE, 3), 255, np.uint8)
        for i, picture in enumerate(scaled):
            band[: picture.shape[0], i * (width + GAP) : i * (width + GAP) + picture.shape[1]] = picture
        bands.append(band)
    return np.concatenate(bands)


def _fit(picture: np.ndarray, width: int) -> np.ndarray:
    scale = min(width / picture.shape[1], TALLEST / picture.shape[0])
    size = max(1, int(scale * picture.shape[1])), max(1, int(scale * picture.shape[0]))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)


def _figure(lines: Sequence[str], captions: Sequence[Sequence[str]], grids: Sequence[np.ndarray]) -> Figure:
    top = style.heading_height(lines) + 0.1
    blocks = list(zip(captions, grids, strict=True))
    heights = [style.LINE * len(caption) + 0.1 + grid.shape[0] / style.DPI for caption, grid in blocks]
    size = PAGE / style.DPI + 2 * style.MARGIN, top + sum(heights) + style.MARGIN * len(heights)
    figure = Figure(figsize=size, dpi=style.DPI)
    style.draw_heading(figure, TITLE, lines)
    for caption, grid, height in zip(captions, grids, heights, strict=True):
        for i, line in enumerate(caption):
            style.write(figure, style.MARGIN, top + style.LINE * i, line, fontweight="bold")
        above = figure.get_size_inches()[1] - top - height
        figure.figimage(grid, round(style.MARGIN * style.DPI), round(above * style.DPI))
        top += height + style.MARGIN
    return figure

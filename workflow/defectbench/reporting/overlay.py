"""Overlays of masks on images, pixel by pixel: an outline covers exactly the boundary pixels of its mask."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgb

from defectbench.data.pixel_formats import picture
from defectbench.data.stripes import LIGHT
from defectbench.metrics.boundary import boundary

# Blue, orange-red and yellow are distinguishable with any colour vision, on light metal and on dark.
HIT, FALSE_ALARM, MISSED = "#56B4E9", "#E8500A", "#F0E442"
STRIPES = f"#{LIGHT:02X}{LIGHT:02X}{LIGHT:02X}"
# Distinct from the colours of predictions, and different in lightness too.
CLASS_COLOURS = ("#00E0A0", "#FF5CC8", "#FFA500", "#8C9BFF", "#C8FF3B", "#FFFFFF")
_TRUTH_FILL, _PREDICTION_FILL = 0.2, 0.45


def as_rgb(image: np.ndarray) -> np.ndarray:
    """A copy of a uint8 image (H, W) or (H, W, N) as (H, W, 3); see :func:`defectbench.data.pixel_formats.picture`."""
    image = picture(image)
    return np.array(image) if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def class_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each class; the colours repeat after the last one."""
    return {name: CLASS_COLOURS[i % len(CLASS_COLOURS)] for i, name in enumerate(names)}


def draw_truth(image: np.ndarray, masks: np.ndarray, colours: Sequence[str]) -> np.ndarray:
    """``image`` as RGB with ``masks`` (C, H, W) bool, each class outlined and faintly tinted in its colour."""
    canvas = as_rgb(image)
    for mask, colour in zip(masks, colours, strict=True):
        _tint(canvas, mask, colour, _TRUTH_FILL)
    for mask, colour in zip(masks, colours, strict=True):
        _tint(canvas, boundary(mask), colour, 1)
    return canvas


def prediction_legend(has_ignored: bool) -> list[tuple[str, str]]:
    """Colours of :func:`draw_prediction` and their names, and that of ignored pixels."""
    return [(HIT, "hit"), (FALSE_ALARM, "false alarm"), (MISSED, "missed"), *ignored_legend(has_ignored)]


def ignored_legend(has_ignored: bool) -> list[tuple[str, str]]:
    """Colour and name of ignored pixels, if a dataset may have them."""
    return [(STRIPES, "stripes: ignored")] if has_ignored else []


def draw_prediction(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """``image`` as RGB, its hits, false alarms and misses tinted, the outline of ``prediction`` in full colour.

    ``truth`` and ``prediction`` are (H, W) bool.
    """
    canvas, outline = as_rgb(image), boundary(prediction)
    parts = {HIT: truth & prediction, FALSE_ALARM: prediction & ~truth, MISSED: truth & ~prediction}
    for colour, area in parts.items():
        _tint(canvas, area, colour, _PREDICTION_FILL)
        _tint(canvas, area & outline, colour, 1)
    return canvas


def _tint(canvas: np.ndarray, area: np.ndarray, colour: str, share: float) -> None:
    """Mix ``colour`` into the pixels of ``area``; a ``share`` of 1 replaces them."""
    canvas[area] = np.rint((1 - share) * canvas[area] + share * 255 * np.array(to_rgb(colour)))

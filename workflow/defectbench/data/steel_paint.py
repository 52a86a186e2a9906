"""Paint one strip of rolled steel, its harmless marks and its defects, with numpy and OpenCV alone.

The steel runs down the image: rolling lines, streaks and stains are stretched along the rows. Lengths are given
for a strip 256 pixels high and scaled to the image. Intensities are shares of the local brightness, so a dark
strip has fainter defects, as in a mill.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

REFERENCE_HEIGHT = 256
Field = np.ndarray  # float (H, W)
Surface = Callable[[np.random.Generator, Field, Field, float], Field]  # of depth, position across, scale


@dataclass(frozen=True)
class Outline:
    """The shapes that a defect class takes: superellipses, `pieces` of them at most."""

    pieces: int
    aspect: tuple[float, float]  # half-axis along / half-axis across
    angle: tuple[float, float]  # degrees of the long axis from the rolling direction
    power: int  # 2 an ellipse, 8 nearly a rectangle
    ragged: float  # relative standard deviation of the outline


PITS = Outline(pieces=2, aspect=(1.5, 3.5), angle=(-12, 12), power=2, ragged=0.12)
CRACK = Outline(pieces=1, aspect=(6, 10), angle=(-6, 6), power=8, ragged=0.05)
ROUGH = Outline(pieces=3, aspect=(0.8, 1.6), angle=(-40, 40), power=4, ragged=0.16)
STREAK = Outline(pieces=2, aspect=(5, 9), angle=(-2, 2), power=8, ragged=0.06)
SCRATCH = Outline(pieces=2, aspect=(4, 8), angle=(76, 96), power=8, ragged=0.08)
TORN = Outline(pieces=3, aspect=(0.8, 2.2), angle=(-30, 30), power=4, ragged=0.14)


def paint_strip(
    rng: np.random.Generator, size: tuple[int, int], areas: dict[int, float]
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Paint a strip of `size` (H, W) whose defects cover `areas` (class: share of the image).

    Returns the uint8 image (H, W) and a bool mask (H, W) per class; masks of two classes do not overlap, and each
    has its area to the pixel unless the strip has no room left.
    """
    scale = size[0] / REFERENCE_HEIGHT
    on_strip, rim = _strip_extent(rng, size, sum(areas.values()))
    light = _lighting(rng, size)
    gain = 1 + _rolled_texture(rng, size, scale) + _harmless_marks(rng, size, scale) + rng.uniform(-0.3, 0.4) * rim
    free, masks = on_strip.copy(), {}
    for class_id, area in areas.items():
        masks[class_id], change = _defect(rng, class_id, round(area * on_strip.size), free, scale)
        free &= ~masks[class_id]
        gain += change
    image = light * np.maximum(gain, 0.05) + _paint_marks(rng, size, scale)
    image = np.where(on_strip, image, rng.uniform(2, 8))
    image = cv2.GaussianBlur(image, (3, 3), rng.uniform(0.3, 0.6))
    image += rng.normal(0, rng.uniform(1, 3), size)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), masks


def _noise(rng: np.random.Generator, size: tuple[int, int], grain: tuple[float, float]) -> Field:
    """Smooth noise of mean 0 and variance 1 (H, W) with grains of `grain` = (rows, columns) pixels."""
    coarse = [max(3, round(length / max(1.0, cell))) for length, cell in zip(size, grain, strict=True)]
    field = rng.standard_normal(coarse, dtype=np.float32)
    if tuple(coarse) != tuple(size):
        field = cv2.resize(field, size[::-1], interpolation=cv2.INTER_CUBIC)
    return (field - field.mean()) / field.std()


def _soft_step(field: Field, width: float) -> Field:
    """Rise from 0 to 1 where `field` crosses 0, over about `width`."""
    return np.clip(field / width + 0.5, 0, 1)


# --- the strip ------------------------------------------------------------------------------------------------


def _strip_extent(rng: np.random.Generator, size: tuple[int, int], defect_area: float) -> tuple[np.ndarray, Field]:
    """Mask of the steel, bool (H, W), and the rim along its end, 0 … 1.

    At most a quarter of the strips end in black; most of the remaining steel stays free of defects.
    """
    height, width = size
    if rng.random() > 0.25 or defect_area > 0.2:
        return np.ones(size, dtype=bool), np.zeros(size, dtype=np.float32)
    length = max(rng.uniform(0.4, 0.97), 4 * defect_area) * width
    inside = length + rng.normal(0, 0.02) * np.arange(height)[:, None] - np.arange(width)[None, :]
    inside = inside if rng.random() < 0.5 else inside[:, ::-1]
    return inside > 0, np.exp(-inside.clip(0) / rng.uniform(0.005, 0.03) / width).astype(np.float32)


def _lighting(rng: np.random.Generator, size: tuple[int, int]) -> Field:
    """Brightness of a perfect sheet: level, drift along both axes and vignetting."""
    height, width = size
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    level = np.clip(rng.lognormal(np.log(95), 0.3), 60, 150)
    drift = rng.normal(0, 0.15) * x + rng.normal(0, 0.06) * y + 0.08 * _noise(rng, size, (height, width / 4))
    vignette = rng.uniform(0, 0.3) * x**2 + rng.uniform(0, 0.1) * y**2
    return (level * np.clip(1 + drift - vignette, 0.3, 1.8)).astype(np.float32)


def _rolled_texture(rng: np.random.Generator, size: tuple[int, int], scale: float) -> Field:
    """Rolling lines at three widths, grain that comes and goes in bands, and glints where it is strong."""
    height, width = size
    texture = 0.04 * rng.uniform(0.5, 1.5) * _noise(rng, size, (2 * height, 40 * scale))
    texture += 0.025 * rng.uniform(0.5, 1.5) * _noise(rng, size, (150 * scale, 6 * scale))
    texture += 0.025 * rng.uniform(0.5, 1.5) * _noise(rng, size, (40 * scale, 2 * scale))
    band = np.exp(0.6 * _noise(rng, size, (2 * height, width / 8)))
    grain = _noise(rng, size, (2.5, 1))
    texture += rng.uniform(0.04, 0.08) * band * grain
    return texture + rng.choice([0.05, 0.2, 0.4]) * band * np.maximum(grain - 2, 0)


# --- harmless marks -------------------------------------------------------------------------------------------


def _harmless_marks(rng: np.random.Generator, size: tuple[int, int], scale: float) -> Field:
    """Marks that an inspector ignores, each with its own probability."""
    chances = {_stains: 0.75, _smears: 0.35, _rolling_streaks: 0.9, _roll_marks: 0.25, _dust: 0.7}
    marks = np.zeros(size, dtype=np.float32)
    for paint, chance in chances.items():
        if rng.random() < chance:
            marks += paint(rng, size, scale)
    return marks


def _stains(rng: np.random.Generator, size: tuple[int, int], scale: float) -> Field:
    """Drops drawn out along the rolling direction, thick in some places and absent in others."""
    height, width = size
    drops = _noise(rng, size, (45 * scale, 8 * scale)) + 0.8 * _noise(rng, size, (height, width / 5))
    return rng.choice([-1, 1]) * rng.uniform(0.15, 0.4) * _soft_step(drops - rng.uniform(1.5, 2.3), 0.3)


def _smears(rng: np.random.Generator, size: tuple[int, int], scale: float) -> Field:
    """Lubricant wiped over the sheet: one to three wide arcs, a little lighter or darker."""
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    smear = np.zeros(size, dtype=np.float32)
    for _ in range(rng.integers(1, 4)):
        radius = rng.uniform(1, 4) * height
        centre_y, centre_x = height / 2 + rng.choice([-1, 1]) * radius, rng.uniform(0, width)
        inside = radius - np.hypot(y - centre_y, x - centre_x) + 3 * scale * _noise(rng, size, (20 * scale, 20 * scale))
        smear += rng.choice([-1, 1]) * rng.uniform(0.05, 0.15) * _soft_step(inside, 8 * scale)
    return smear


def _rolling_streaks(rng: np.random.Generator, size: tuple[int, int], scale: float) -> Field:
    """Straight smooth lines and combs of dashes along the rolling direction, bright or dark."""
    height, width = size
    columns = np.arange(width)
    lines = np.zeros(width, dtype=np.float32)
    for _ in range(rng.integers(2, 12)):
        half_width = rng.uniform(1, 5) * scale
        strength = rng.choice([-1, 1]) * rng.uniform(0.2, 0.4)
        lines += strength * np.exp(-(((columns - rng.uniform(0, width)) / half_width) ** 2))
    streaks = lines[None, :] * np.clip(0.8 + 0.4 * _noise(rng, size, (height, width / 8)), 0, 1)
    where = _soft_step(_noise(rng, size, (2 * height, width / 6)) - 1.2, 0.5)
    dashes = _soft_step(_noise(rng, size, (90 * scale, 3 * scale)) - 1.5, 0.4)
    return streaks - rng.uniform(0.2, 0.5) * where * dashes


def _roll_marks(rng: np.random.Generator, size: tuple[int, int], scale: float) -> Field:
    """The same faint print of a roll at a constant pitch along the rolling direction."""
    height, width = size
    pitch, centre_x = rng.uniform(40, 110) * scale, rng.uniform(0.05, 0.95) * width
    radius_y, radius_x = rng.uniform(4, 10, 2) * scale
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y = (y + rng.uniform(0, pitch)) % pitch - pitch / 2
    prints = np.exp(-((y / radius_y) ** 2) - ((x - centre_x) / radius_x) ** 2)
    return rng.choice([-1, 1]) * rng.uniform(0.15, 0.35) * prints


def _dust(rng: np.random.Generator, size: tuple[int, int], scale: float) -> Field:
    """Loose bright and dark specks."""
    specks = _noise(rng, size, (5 * scale, 3 * scale))
    rare = rng.uniform(2.9, 3.6)
    return 0.9 * _soft_step(specks - rare, 0.5) - 0.4 * _soft_step(-specks - rare, 0.5)


def _paint_marks(rng: np.random.Generator, size: tuple[int, int], scale: float) -> Field:
    """Sprayed coil numbers, saturated white, on one strip in five; in grey levels to add."""
    if rng.random() > 0.2:
        return np.zeros(size, dtype=np.float32)
    canvas = np.zeros(size, dtype=np.uint8)
    x, y = rng.uniform(0.05, 0.8) * size[1], rng.uniform(0.3, 1.3) * size[0]
    text = "".join(rng.choice(list("AEHKM0235"), rng.integers(1, 4)))
    font_scale, thickness = rng.uniform(2, 4) * scale, max(1, round(rng.uniform(8, 18) * scale))
    cv2.putText(canvas, text, (int(x), int(y)), cv2.FONT_HERSHEY_SIMPLEX, font_scale, 1, thickness)
    canvas = canvas.astype(np.float32)
    near = cv2.GaussianBlur(canvas, (0, 0), 9 * scale)
    spray = 0.4 * canvas + near + 0.5 * near * _noise(rng, size, (6 * scale, 5 * scale))
    return 230 * _soft_step(spray - 0.5, 0.25)


# --- defects --------------------------------------------------------------------------------------------------


def _defect(
    rng: np.random.Generator, class_id: int, n_pixels: int, free: np.ndarray, scale: float
) -> tuple[np.ndarray, Field]:
    """Place one class of defect: its mask (H, W), `n_pixels` of the `free` ones, and its change of brightness."""
    outline, surface = _style(rng, class_id, n_pixels / free.size)
    grain = 0.5 * np.sqrt(n_pixels)  # an outline as smooth, for its size, as an annotator draws it
    distance, across = _pieces(rng, outline, free, max(grain, 12 * scale))
    distance[~free] = np.inf
    n_pixels = min(max(n_pixels, 1), int(free.sum()))
    order = np.argpartition(distance, n_pixels - 1, axis=None)[:n_pixels]  # the nearest pixels: the area is exact
    covered = np.zeros(free.size, dtype=bool)
    covered[order] = True
    mask = covered.reshape(free.shape)
    depth = distance / distance[mask].max()  # 0 in the heart of the defect, 1 at the rim of its mask
    change = surface(rng, depth, across, scale) * np.clip((1 - depth) / 0.15, 0, 1)
    return mask, np.where(mask, rng.uniform(1.15, 1.5) * change, 0).astype(np.float32)


def _style(rng: np.random.Generator, class_id: int, area: float) -> tuple[Outline, Surface]:
    """Choose the outline and the surface of a defect that covers `area` of the image."""
    if class_id != 3:
        return {1: (PITS, _pitted), 2: (CRACK, _cracked), 4: (ROUGH, _rough)}[class_id]
    if area > 0.08:
        return (SCRATCH if rng.random() < 0.6 else TORN), _scored
    return (STREAK, SCRATCH, TORN)[rng.choice(3, p=[0.3, 0.35, 0.35])], _scored


def _pieces(rng: np.random.Generator, outline: Outline, free: np.ndarray, grain: float) -> tuple[Field, Field]:
    """Distance from the nearest piece's centre in its half-axes, and the signed part of it across the long axis."""
    height, width = free.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    columns = np.flatnonzero(free.any(axis=0))
    distance, across = np.full(free.shape, np.inf, dtype=np.float32), np.zeros(free.shape, dtype=np.float32)
    for _ in range(rng.integers(1, outline.pieces + 1)):
        centre_y, centre_x = rng.uniform(0.1, 0.9) * height, float(rng.choice(columns))
        aspect, angle = rng.uniform(*outline.aspect), np.deg2rad(rng.uniform(*outline.angle))
        size = rng.uniform(0.5, 1)
        along_axis = ((y - centre_y) * np.cos(angle) + (x - centre_x) * np.sin(angle)) / (size * np.sqrt(aspect))
        cross_axis = ((x - centre_x) * np.cos(angle) - (y - centre_y) * np.sin(angle)) * np.sqrt(aspect) / size
        reach = (np.abs(along_axis) ** outline.power + np.abs(cross_axis) ** outline.power) ** (1 / outline.power)
        nearer = reach < distance
        distance[nearer], across[nearer] = reach[nearer], cross_axis[nearer]
    return distance * np.exp(outline.ragged * _noise(rng, free.shape, (grain, grain))), across


def _relief(rng: np.random.Generator, size: tuple[int, int], grain: tuple[float, float]) -> Field:
    """A bumpy surface lit from the side: bright flanks beside dark ones, variance 1."""
    bumps = _noise(rng, size, grain)
    slope = cv2.Sobel(bumps, cv2.CV_32F, 1, 0) + cv2.Sobel(bumps, cv2.CV_32F, 0, 1)
    return slope / slope.std()


def _pitted(rng: np.random.Generator, depth: Field, across: Field, scale: float) -> Field:
    """Class 1: small pits, each a dark hole beside a bright rim."""
    pits = _relief(rng, depth.shape, (8 * scale, 5 * scale))
    return -0.25 + np.clip(1.2 * np.maximum(pits - 0.9, 0), 0, 1.3) - 0.45 * _soft_step(-pits - 0.8, 0.4)


def _cracked(rng: np.random.Generator, depth: Field, across: Field, scale: float) -> Field:
    """Class 2: a thin dark line with a bright lip on either side."""
    jitter = 0.12 * _noise(rng, depth.shape, (20 * scale, 1e3))
    lips = np.exp(-(((depth + jitter - 0.65) / 0.25) ** 2))
    return 0.45 * lips - 0.65 * np.exp(-(((depth + jitter) / 0.4) ** 2))


def _scored(rng: np.random.Generator, depth: Field, across: Field, scale: float) -> Field:
    """Class 3: bright and dark strands along the defect, which change on its way, torn open in places."""
    knots = np.linspace(-1, 1, rng.integers(10, 22))
    reach = across / max(float(np.abs(across[depth <= 1]).max()), 1e-6)
    tone = rng.choice([-0.4, 0.28]) * rng.uniform(0.8, 1.2)
    near, far = (np.interp(reach, knots, rng.normal(tone, 0.15, len(knots))) for _ in range(2))
    blend = _soft_step(_noise(rng, depth.shape, (60 * scale, 60 * scale)), 1)
    torn = _noise(rng, depth.shape, (6 * scale, 4 * scale))
    burrs = 0.65 * np.maximum(torn - 1.2, 0) - 0.4 * _soft_step(-torn - 1.3, 0.4)
    return blend * near + (1 - blend) * far + 0.08 * torn + (0.3 + 0.7 * blend) * burrs


def _rough(rng: np.random.Generator, depth: Field, across: Field, scale: float) -> Field:
    """Class 4: a dull scab, its coarse relief cracked across the rolling direction and lifted along its rim."""
    size = depth.shape
    relief = 0.06 * _relief(rng, size, (20 * scale, 40 * scale)) + 0.08 * _relief(rng, size, (5 * scale, 8 * scale))
    fold = _noise(rng, size, (30 * scale, 70 * scale)) / 0.15
    crack = np.exp(-(fold**2)) - 0.5 * np.exp(-((fold - 1.6) ** 2))
    crack *= _soft_step(_noise(rng, size, (40 * scale, 60 * scale)), 1)
    rim = np.exp(-(((depth - 0.85) / 0.06) ** 2)) * (_noise(rng, size, (25 * scale, 25 * scale)) > 0)
    return rng.uniform(-0.45, -0.25) + relief - 0.4 * crack - 0.25 * rim

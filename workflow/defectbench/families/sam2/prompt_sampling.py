"""Random prompts of a training step, from the masks as the network sees them: augmented, cropped, scaled."""

from dataclasses import dataclass

import numpy as np

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.prompts import PromptSettings
from defectbench.data.prompts import (
    INSIDE,
    OUTSIDE,
    Prompt,
    box_prompt,
    find_objects,
    join_prompts,
    spread_points,
    tight_box,
)

# SAM's label of padding points.
NO_POINT = -1
# The published training moves each side by at most this many pixels.
_MAX_BOX_NOISE = 20
_MAX_INSIDE, _MAX_OUTSIDE = 5, 5


@dataclass(frozen=True)
class PromptBatch:
    """The prompts of one training step; all have the same number of points."""

    index: list[int]
    """Image of each prompt."""
    prompts: list[Prompt]
    targets: np.ndarray
    """Masks (P, H, W) uint8 of the prompted objects; empty for prompts on clean images."""


class PromptSampler:
    """Draws the prompts of a batch."""

    def __init__(self, settings: Sam2Settings, fixed: PromptSettings) -> None:
        """``fixed`` are the settings of the prompt files: defects are merged into objects as there."""
        self.settings = settings
        self.fixed = fixed

    def draw(self, masks: np.ndarray, rng: np.random.Generator) -> PromptBatch:
        """Prompts for ``masks`` (B, H, W) uint8: of some objects of each image, and one on each clean image.

        A prompt on a clean image has an empty target, which trains the object score.
        """
        mixed = self.settings.mixed_prompts
        kind = rng.choice(["box", "points"]) if mixed else self.settings.prompt
        n_inside = 1 if mixed else int(rng.integers(1, _MAX_INSIDE, endpoint=True))
        n_outside = 0 if mixed else int(rng.integers(0, _MAX_OUTSIDE, endpoint=True))
        index, prompts, targets = [], [], []
        for image, mask in enumerate(masks):
            for target in self._targets(mask, kind, rng):
                region = target if target.any() else _random_box(mask.shape, rng)
                if kind == "full_box":
                    prompt = box_prompt(0, 0, mask.shape[1] - 1, mask.shape[0] - 1)
                else:
                    parts = [self._noisy_box(region, rng)] if "box" in kind else []
                    if "points" in kind:
                        parts.append(_points(region, mask, n_inside, n_outside, self.fixed.near, rng))
                    prompt = join_prompts(parts)
                index.append(image)
                prompts.append(prompt)
                targets.append(target.astype(np.uint8))
        return PromptBatch(index, prompts, np.stack(targets))

    def _targets(self, mask: np.ndarray, kind: str, rng: np.random.Generator) -> list[np.ndarray]:
        if kind == "full_box" or not mask.any():
            return [mask > 0]
        objects = find_objects(mask, self.fixed.merge_distance)
        selected = rng.permutation(len(objects))[: self.settings.objects_per_image]
        return [objects[number] for number in sorted(selected)]

    def _noisy_box(self, target: np.ndarray, rng: np.random.Generator) -> Prompt:
        left, top, right, bottom = tight_box(target)
        sides = np.array([right - left + 1, bottom - top + 1] * 2)
        noise = rng.normal(0, self.settings.box_noise, 4) * sides
        corners = np.array([left, top, right, bottom]) + noise.clip(-_MAX_BOX_NOISE, _MAX_BOX_NOISE)
        last = np.array([target.shape[1], target.shape[0]] * 2) - 1
        x0, y0, x1, y1 = corners.clip(0, last)
        return box_prompt(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def add_correction_click(prompt: Prompt, predicted: np.ndarray, target: np.ndarray, rng: np.random.Generator) -> Prompt:
    """``prompt`` and one more click, on a random pixel where the masks ``predicted`` and ``target`` (H, W) differ.

    If they are equal, a padding point is added.
    """
    wrong = np.argwhere(predicted != (target > 0))
    if len(wrong):
        y, x = wrong[rng.integers(len(wrong))]
        label = INSIDE if target[y, x] else OUTSIDE
    else:
        y, x, label = 0, 0, NO_POINT
    return Prompt(
        np.concatenate([prompt.points, np.array([[x, y]], np.float32)]),
        np.concatenate([prompt.labels, np.array([label], np.int8)]),
    )


def _points(
    region: np.ndarray, mask: np.ndarray, n_inside: int, n_outside: int, near: int, rng: np.random.Generator
) -> Prompt:
    """Points inside ``region``, and points without a defect in its box, widened by ``near`` pixels."""
    left, top, right, bottom = tight_box(region)
    around = np.zeros(region.shape, bool)
    around[max(0, top - near) : bottom + near + 1, max(0, left - near) : right + near + 1] = True
    inside = spread_points(region, n_inside, rng)
    outside = spread_points(around & ~region & (mask == 0), n_outside, rng)
    padding = np.zeros((n_inside + n_outside - len(inside) - len(outside), 2), np.float32)
    labels = [INSIDE] * len(inside) + [OUTSIDE] * len(outside) + [NO_POINT] * len(padding)
    return Prompt(np.concatenate([inside, outside, padding]), np.array(labels, np.int8))


def _random_box(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A random box inside the image, as a mask (H, W)."""
    height, width = shape
    y0, y1 = np.sort(rng.integers(0, height, 2))
    x0, x1 = np.sort(rng.integers(0, width, 2))
    box = np.zeros(shape, bool)
    box[y0 : y1 + 1, x0 : x1 + 1] = True
    return box

"""Random prompts of a training step, from the masks as the network sees them: augmented, cropped, scaled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.prompts import PromptSettings
from defectbench.data.packing import IGNORED
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
from defectbench.data.rle import decode_coco
from defectbench.metrics.boxes import box_iou

# SAM's label of padding points.
NO_POINT = -1
# The published training moves each side by at most this many pixels.
_MAX_BOX_NOISE = 20
_MAX_INSIDE, _MAX_OUTSIDE = 5, 5
# Share of the defective images that are also prompted on a clean place: the image alone must not tell the answer.
_PROMPTED_ON_CLEAN_PLACE = 0.5
# A predicted object is a true one if their boxes have at least this IoU, as for a detector's score threshold.
_MATCH_IOU = 0.5


T = TypeVar("T")


@dataclass(frozen=True)
class PromptBatch:
    """The prompts of one training step; all have the same number of points."""

    index: list[int]
    """Image of each prompt."""
    prompts: list[Prompt]
    targets: np.ndarray
    """Masks (P, H, W) uint8 of the prompted objects, 0, 1 and IGNORED; empty for prompts on clean places."""


class _Region(NamedTuple):
    """What a prompt points at, and its target: masks (H, W) bool; a target may be IGNORED throughout."""

    place: np.ndarray
    target: np.ndarray
    box_noise: float


class PromptSampler:
    """Draws the prompts of a batch: of some objects of each image, and of clean places.

    A prompt on a clean place has an empty target, which trains the object score. It is drawn as if an object of another
    training image were there, so that nothing but the pixels tells that there is none: the box or the points do not.
    Each clean image has one, and so have some of the defective ones. Boxes may span IGNORED pixels; no point is there.
    """

    def __init__(self, settings: Sam2Settings, fixed: PromptSettings, others: Sequence[bytes] = ()) -> None:
        """``fixed`` are the settings of the prompt files: defects are merged into objects as there.

        ``others`` are the training images' objects that prompts on clean places imitate, of
        :func:`defectbench.families.sam2.object_pool.collect_objects`; kind full_box needs none.
        """
        self.settings = settings
        self.fixed = fixed
        self.others = others

    def draw(self, masks: np.ndarray, rng: np.random.Generator, predicted: np.ndarray | None = None) -> PromptBatch:
        """Prompts for ``masks`` (B, H, W) uint8, 0, 1 and IGNORED, of which every image has at least one.

        With masks (B, H, W) of ``predicted`` objects, they are the boxes of these, as they are. The target is the true
        object that matches, or empty on a clean place; an object that is neither is left out, and an image without any
        other is prompted as if nothing were predicted.
        """
        mixed = self.settings.mixed_prompts
        kind = rng.choice(["box", "points"]) if mixed else self.settings.prompt
        n_inside = 1 if mixed else int(rng.integers(1, _MAX_INSIDE, endpoint=True))
        n_outside = 0 if mixed else int(rng.integers(0, _MAX_OUTSIDE, endpoint=True))
        index, prompts, targets = [], [], []
        for image, mask in enumerate(masks):
            regions = [] if predicted is None else self._predicted_regions(mask, predicted[image], rng)
            for region in regions or self._regions(mask, kind, rng):
                if kind == "full_box":
                    prompt = box_prompt(0, 0, mask.shape[1] - 1, mask.shape[0] - 1)
                else:
                    parts = [_noisy_box(region, rng)] if "box" in kind else []
                    if "points" in kind:
                        parts.append(_points(region.place, mask, n_inside, n_outside, self.fixed.near, rng))
                    prompt = join_prompts(parts)
                index.append(image)
                prompts.append(prompt)
                targets.append(np.where(mask == IGNORED, IGNORED, region.target).astype(np.uint8))
        return PromptBatch(index, prompts, np.stack(targets))

    def _regions(self, mask: np.ndarray, kind: str, rng: np.random.Generator) -> list[_Region]:
        noise = self.settings.box_noise
        if kind == "full_box":
            return [_Region(mask == 1, mask == 1, noise)]
        selected = select_objects(find_objects(mask == 1, self.fixed.merge_distance), self.settings, rng)
        regions = [_Region(target, target, noise) for target in selected]
        if not regions or rng.random() < _PROMPTED_ON_CLEAN_PLACE:
            other = decode_coco(self.others[int(rng.integers(len(self.others)))], *mask.shape) > 0
            place = find_clean_place(other, mask, self.fixed.merge_distance, rng)
            if place is not None:
                regions.append(_Region(place, np.zeros_like(place), noise))
            elif not regions:
                # Ignored pixels leave no clean place: a prompt that nothing is learned from.
                regions.append(_Region(other, np.full_like(mask, IGNORED), noise))
        return regions

    def _predicted_regions(self, mask: np.ndarray, predicted: np.ndarray, rng: np.random.Generator) -> list[_Region]:
        objects, found = (find_objects(one, self.fixed.merge_distance) for one in (mask == 1, predicted))
        regions = []
        for place, iou in zip(found, box_iou(_boxes(found), _boxes(objects)), strict=True):
            left, top, right, bottom = tight_box(place)
            if iou.max(initial=0) >= _MATCH_IOU:
                regions.append(_Region(place, objects[iou.argmax()], 0))
            elif not mask[top : bottom + 1, left : right + 1].any():
                regions.append(_Region(place, np.zeros_like(place), 0))
        return select_objects(regions, self.settings, rng)


def _boxes(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Corners (N, 4), the last ones excluded, of the boxes around ``masks``."""
    corners = np.array([tight_box(mask) for mask in masks], np.float64).reshape(-1, 4)
    return corners + np.array([0, 0, 1, 1])


def _noisy_box(region: _Region, rng: np.random.Generator) -> Prompt:
    left, top, right, bottom = tight_box(region.place)
    sides = np.array([right - left + 1, bottom - top + 1] * 2)
    noise = rng.normal(0, region.box_noise, 4) * sides
    corners = np.array([left, top, right, bottom]) + noise.clip(-_MAX_BOX_NOISE, _MAX_BOX_NOISE)
    last = np.array([region.place.shape[1], region.place.shape[0]] * 2) - 1
    x0, y0, x1, y1 = corners.clip(0, last)
    return box_prompt(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def select_objects(objects: Sequence[T], settings: Sam2Settings, rng: np.random.Generator) -> list[T]:
    """Those of an image's ``objects`` that a training step asks for: at most as many as the settings say."""
    selected = rng.permutation(len(objects))[: settings.objects_per_image]
    return [objects[number] for number in sorted(selected)]


def find_clean_place(shape: np.ndarray, mask: np.ndarray, margin: int, rng: np.random.Generator) -> np.ndarray | None:
    """``shape`` (H, W) bool, moved to where no defect of ``mask`` (H, W) is in its box or within ``margin`` pixels.

    IGNORED pixels count as defects: they may be some.

    It stays where it is if that is such a place: then its position, too, is that of an object. Otherwise it is moved
    to one drawn at random. None if the image has no such place.
    """
    left, top, right, bottom = tight_box(shape)
    if not mask[max(0, top - margin) : bottom + margin + 1, max(0, left - margin) : right + margin + 1].any():
        return shape
    height, width = bottom - top + 1, right - left + 1
    down, across = height + 2 * margin, width + 2 * margin
    sums = cv2.integral(np.pad((mask != 0).view(np.uint8), margin))
    # Defect pixels around the box with its upper left corner in each pixel.
    defects = sums[down:, across:] - sums[:-down, across:] - sums[down:, :-across] + sums[:-down, :-across]
    places = np.argwhere(defects == 0)
    if not len(places):
        return None
    y, x = places[rng.integers(len(places))]
    moved = np.zeros_like(shape)
    moved[y : y + height, x : x + width] = shape[top : bottom + 1, left : right + 1]
    return moved


def add_correction_click(prompt: Prompt, predicted: np.ndarray, target: np.ndarray, rng: np.random.Generator) -> Prompt:
    """``prompt`` and one more click, on a random pixel where the masks ``predicted`` and ``target`` (H, W) differ.

    Not on an IGNORED one. If they are equal elsewhere, a padding point is added.
    """
    wrong = np.argwhere((predicted != (target == 1)) & (target != IGNORED))
    if len(wrong):
        y, x = wrong[rng.integers(len(wrong))]
        label = INSIDE if target[y, x] == 1 else OUTSIDE
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

"""Post-processing: dense CRF, opening, closing, filling of holes, removal of small components, in this order.

A CRF replaces the threshold, since it weighs the map against the image. The opening comes first and removes specks and
threads, so that the closing does not join them; holes are filled after outlines are closed; areas are measured last, on
the final components.
"""

from dataclasses import dataclass, fields
from itertools import product
from typing import Any, Self

import cv2
import numpy as np

from defectbench.config.calibrate import CrfSettings, PostProcessingSettings
from defectbench.evaluation.dense_crf import ImageCrfs
from defectbench.metrics.boundary import disc
from defectbench.metrics.components import count_inside, find_components, find_runs


@dataclass(frozen=True)
class PostProcessing:
    """A pipeline of steps; a step whose value is 0 or False is left out."""

    opening: int = 0
    """radius of the disc in pixels"""
    closing: int = 0
    """radius of the disc in pixels"""
    fill_holes: bool = False
    """background that 4-connectivity does not join to the image's border becomes foreground"""
    min_area: float = 0
    """8-connected components below it are removed: from 1 up pixels, below 1 a share of the image's pixels"""
    crf: CrfSettings | None = None
    """decides on pixels instead of the threshold alone"""

    @classmethod
    def read(cls, record: dict[str, Any]) -> Self:
        """Inverse of :meth:`record`; other keys are ignored."""
        crf = record.get("crf")
        steps = {field.name: record[field.name] for field in fields(cls) if field.name != "crf"}
        return cls(**steps, crf=CrfSettings(**crf) if crf else None)

    def record(self) -> dict[str, Any]:
        """All fields, as JSON can hold them."""
        steps = {field.name: getattr(self, field.name) for field in fields(self)}
        return steps | {"crf": self.crf and self.crf.model_dump()}

    def mask(self, codes: np.ndarray, k: int, crfs: ImageCrfs) -> np.ndarray:
        """The mask (H, W) bool of a map of ``codes`` (H, W) uint16 at p ≥ k/256, after all steps."""
        return self.apply(crfs.mask(codes, k, self.crf))

    def apply(self, mask: np.ndarray) -> np.ndarray:
        """Apply all steps after the CRF to ``mask`` (H, W) bool; the result has the same shape and type.

        Pixels outside the image count neither as foreground nor as background.
        """
        if not mask.any():
            return mask
        shaped = apply_morphology(mask, self.opening, self.closing, self.fill_holes)
        return remove_small(shaped, self.min_area) if self.min_area else shaped

    @property
    def n_steps(self) -> int:
        """Number of steps that are not left out."""
        return sum(bool(getattr(self, field.name)) for field in fields(self))

    def __str__(self) -> str:
        """The steps in words; 'none' if there are none."""
        small = f"{self.min_area:g} px" if self.min_area >= 1 else f"{100 * self.min_area:g} % of the image"
        steps = {
            str(self.crf): self.crf,
            f"open {self.opening}": self.opening,
            f"close {self.closing}": self.closing,
            "fill holes": self.fill_holes,
            f"area >= {small}": self.min_area,
        }
        return ", ".join(words for words, value in steps.items() if value) or "none"


def apply_morphology(mask: np.ndarray, opening: int, closing: int, fill: bool) -> np.ndarray:
    """All steps before the removal of small components, on a mask (H, W) bool."""
    for radius, operation in ((opening, cv2.MORPH_OPEN), (closing, cv2.MORPH_CLOSE)):
        if radius:
            mask = cv2.morphologyEx(mask.view(np.uint8), operation, disc(radius)).view(bool)
    return fill_holes(mask) if fill else mask


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Fill the holes of ``mask`` (H, W) bool: background that is not joined to the border, 4-connected."""
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(padded, None, (0, 0), 2, flags=4)
    return padded[1:-1, 1:-1] != 2


def remove_small(mask: np.ndarray, min_area: float) -> np.ndarray:
    """Remove the 8-connected components of ``mask`` (H, W) bool that are smaller than ``min_area``."""
    components = find_components(mask)
    return components.mask(components.areas >= min_area_pixels(min_area, mask.size))


def min_area_pixels(min_area: float, n_pixels: int) -> float:
    """``min_area`` in pixels of an image of ``n_pixels``."""
    return min_area if min_area >= 1 else min_area * n_pixels


class Candidates:
    """All pipelines of the settings, evaluated together: components are labelled once for all smallest areas."""

    def __init__(self, settings: PostProcessingSettings) -> None:
        """Combine the steps of ``settings``."""
        self._crfs = (None, *settings.crf)
        self._radii = list(product((0, *settings.opening_radii), (0, *settings.closing_radii)))
        self._fills = (False, True) if settings.fill_holes else (False,)
        self._min_areas = (0.0, *settings.min_areas)
        self._shapes = list(product(self._radii, self._fills, self._min_areas))
        every = product(self._crfs, self._shapes)
        self.pipelines = [PostProcessing(*radii, fill, area, crf) for crf, (radii, fill, area) in every]

    def count(
        self, codes: np.ndarray, k: int, truth: np.ndarray, crfs: ImageCrfs, ignored: np.ndarray | None = None
    ) -> np.ndarray:
        """Counts tp, fp, fn that each of ``pipelines`` gives at p ≥ k/256, (P, 3) int64.

        ``codes`` (H, W) uint16 and ``truth`` (H, W) bool are of one class, ``crfs`` of its image. Pixels of ``ignored``
        (H, W) bool are not counted.
        """
        true = find_runs(truth)
        left_out = None if ignored is None else find_runs(ignored)
        return np.concatenate([self._count_shapes(crfs.mask(codes, k, crf), true, left_out) for crf in self._crfs])

    def _count_shapes(self, mask: np.ndarray, truth: np.ndarray, ignored: np.ndarray | None) -> np.ndarray:
        """Counts tp, fp, fn of all steps after the CRF, from ``mask`` (H, W) bool and the runs of the others."""
        if not mask.any():
            return np.tile((0, 0, _n_pixels(truth)), (len(self._shapes), 1))
        counted = []
        for radii in self._radii:
            plain = apply_morphology(mask, *radii, fill=False)
            counted += [self._count_areas(fill_holes(plain) if fill else plain, truth, ignored) for fill in self._fills]
        return np.concatenate(counted)

    def _count_areas(self, mask: np.ndarray, truth: np.ndarray, ignored: np.ndarray | None) -> np.ndarray:
        """Counts tp, fp, fn (A, 3) after removing the components below each smallest area."""
        components = find_components(mask)
        areas, hits = components.areas, count_inside(components, truth)
        large = areas >= np.array([min_area_pixels(area, mask.size) for area in self._min_areas])[:, None]
        counted = areas if ignored is None else areas - count_inside(components, ignored)
        # Whole numbers stay exact in float64, and only floats are multiplied fast.
        each = np.stack([hits, counted], axis=1).astype(np.float64)
        tp, predicted = (large.astype(np.float64) @ each).astype(np.int64).T
        return np.stack([tp, predicted - tp, _n_pixels(truth) - tp], axis=1)


def _n_pixels(runs: np.ndarray) -> int:
    return int((runs[:, 1] - runs[:, 0]).sum())

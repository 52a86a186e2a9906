"""A trained model as a predictor of codes: the interface of all families."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class ModelFiles:
    """Files of a trained model."""

    weights: Path
    base: Path | None = None
    """Base weights that ``weights`` are loaded on top of; None if the model needs none."""
    features: Path | None = None
    """Folder in which features of a frozen encoder are cached; None: nothing is cached."""


@dataclass(frozen=True)
class Predictor:
    """A trained model that maps an image to codes, and how its predictions are timed."""

    codes: Callable[[np.ndarray], np.ndarray]
    """Codes (C, H, W), uint16, of a uint8 image (H, W) or (H, W, 3), at the image's own pixels."""
    device: str
    """Name of the hardware, for the result row."""
    has_scores: bool = True
    """Whether codes are scores; those of a constant are binary."""
    clock: Callable[[], float] = time.perf_counter
    """Seconds; with cached features, as if this process had computed all of them."""

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Codes of ``image``."""
        return self.codes(image)

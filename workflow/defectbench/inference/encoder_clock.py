"""Time of predictions that read what an encoder made from a cache."""

import statistics
import time
from collections import defaultdict
from typing import Generic

import torch

from defectbench.models.feature_cache import FeatureCache, Features

MEASURED = 10
"""So many images of each size are encoded even if their features are kept."""


class TimedEncoder(Generic[Features]):
    """A cache in predictions that are timed: by its :meth:`clock`, this process encoded every image.

    A kept entry says nothing of what it would cost here and now. So the first images of each size are encoded anew,
    warm-up calls among them; an image that is read counts as the median of those that this process encoded.
    """

    def __init__(self, cache: FeatureCache[Features]) -> None:
        """Read features from ``cache``, and keep new ones in it."""
        self._cache = cache
        self._seconds: defaultdict[tuple[int, ...], list[float]] = defaultdict(list)
        self._ahead = 0.0

    def encode(self, image: torch.Tensor) -> Features:
        """Features of a uint8 ``image`` (1, 1 or 3, H, W)."""
        called = _now(image.device)
        measured = self._seconds[tuple(image.shape)]
        features = self._cache.read(image) if len(measured) >= MEASURED else None
        if features is None:
            started = _now(image.device)
            features = self._cache.compute(image)
            seconds = _now(image.device) - started
            measured.append(seconds)
            self._cache.keep(image, features)
        else:
            seconds = statistics.median(measured)
        self._ahead += seconds - (_now(image.device) - called)
        return features

    def clock(self) -> float:
        """Seconds as of ``time.perf_counter``, in which every call of :meth:`encode` took what the encoder takes."""
        return time.perf_counter() + self._ahead


def _now(device: torch.device) -> float:
    """Time at which all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()

"""Encoder with a feature cache whose predictions are timed as if every image were encoded."""

import statistics
import time
from collections import defaultdict
from typing import Generic

import torch

from defectbench.models.feature_cache import FeatureCache, Features

MEASURED = 10
"""This many images of each size are encoded even if their features are cached."""


class TimedEncoder(Generic[Features]):
    """A feature cache for timed predictions: by its :meth:`clock`, this process encoded every image.

    A cached entry does not tell what encoding would cost on this machine. So the first images of each size are always
    encoded, warm-up calls among them; an image read from the cache counts as the median time of these.
    """

    def __init__(self, cache: FeatureCache[Features]) -> None:
        """Read features from ``cache``, and write new ones to it."""
        self._cache = cache
        self._seconds: defaultdict[tuple[int, ...], list[float]] = defaultdict(list)
        self._ahead = 0.0

    def encode(self, image: torch.Tensor) -> Features:
        """Features of a uint8 ``image`` (1, 1 or 3, H, W)."""
        called = _synchronized_time(image.device)
        measured = self._seconds[tuple(image.shape)]
        features = self._cache.read(image) if len(measured) >= MEASURED else None
        if features is None:
            started = _synchronized_time(image.device)
            features = self._cache.compute(image)
            seconds = _synchronized_time(image.device) - started
            measured.append(seconds)
            self._cache.write(image, features)
        else:
            seconds = statistics.median(measured)
        self._ahead += seconds - (_synchronized_time(image.device) - called)
        return features

    def clock(self) -> float:
        """Seconds as of ``time.perf_counter``, as if every call of :meth:`encode` had run the encoder."""
        return time.perf_counter() + self._ahead


def _synchronized_time(device: torch.device) -> float:
    """Seconds, read after all work queued on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()

"""Samples of ultralytics' loader as functions of seed, pass and image, so that the number of its processes is free."""

import random
from typing import Any

import numpy as np
import torch


class SeededSamples(torch.utils.data.Dataset):
    """Samples of ultralytics whose random numbers do not depend on the process that loads them."""

    def __init__(self, samples: Any, seed: int) -> None:
        """``samples`` is ultralytics' dataset, all of whose attributes this has too."""
        self.samples, self.seed = samples, seed

    def __getattr__(self, name: str) -> Any:
        if name == "samples":  # not set yet, in a process that unpickles this
            raise AttributeError(name)
        return getattr(self.samples, name)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        """The image ``index`` in the pass ``number``, of ``item``: (number, index)."""
        number, index = item
        seed = int(np.random.SeedSequence([self.seed, number, index]).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        # Ultralytics seeds albumentations by torch's seed; the training's own is put back.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.samples[index]

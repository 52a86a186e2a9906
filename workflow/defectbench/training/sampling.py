"""Batch sampling: pure functions of seed and batch number, so that a training can resume at any step."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np


class StepBatches:
    """Batches of dataset indices, numbers ``start`` … ``start + n_batches``.

    The images are visited in passes, each in a random order seeded by (seed, pass). An incomplete batch at the end of
    a pass is dropped (unless there are fewer images than in one batch); its images change from pass to pass. Items are
    (pass, index): the pass seeds the augmentation.
    """

    def __init__(self, n_images: int, batch_size: int, seed: int) -> None:
        """Batches of ``batch_size`` out of ``n_images``."""
        self.n_images = n_images
        self.batch_size = min(batch_size, n_images)
        self.seed = seed
        self.start = 0
        self.n_batches = self.batches_per_pass

    @property
    def batches_per_pass(self) -> int:
        """Batches in one pass over the images."""
        return self.n_images // self.batch_size

    def __len__(self) -> int:
        """Number of batches that iterating yields."""
        return self.n_batches

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Yield the batches set by ``start`` and ``n_batches``."""
        for number in range(self.start, self.start + self.n_batches):
            yield self.batch(number)

    def batch(self, number: int) -> list[tuple[int, int]]:
        """Items of one batch."""
        pass_number, position = divmod(number, self.batches_per_pass)
        order = _order(self.n_images, self.seed, pass_number)
        indices = order[position * self.batch_size : (position + 1) * self.batch_size]
        return [(pass_number, int(index)) for index in indices]


class MicroBatches:
    """Batches split into equal micro-batches, of which each device gets an equal share."""

    def __init__(self, batches: StepBatches, n_parts: int, device: int = 0, n_devices: int = 1) -> None:
        """Shares of device ``device`` of ``n_devices``; the batch size is a multiple of ``n_parts`` · ``n_devices``."""
        self.batches = batches
        self.n_parts = n_parts
        self.device, self.n_devices = device, n_devices

    def __len__(self) -> int:
        """Number of micro-batches that iterating yields."""
        return len(self.batches) * self.n_parts

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Yield this device's share of every micro-batch."""
        size = self.batches.batch_size // (self.n_parts * self.n_devices)
        for batch in self.batches:
            for part in range(self.n_parts):
                start = (part * self.n_devices + self.device) * size
                yield batch[start : start + size]


class BalancedBatches(StepBatches):
    """Batches in which every other image is clean, and the others show the classes in turn.

    All clean images, and all images of a class, are visited once before any is repeated. An image of two classes is in
    both. Strata without images (clean ones, a class) are skipped. Items are (draw, index) with a new number for each
    draw, so that a repeated image is augmented differently.
    """

    def __init__(self, presence: np.ndarray, batch_size: int, seed: int) -> None:
        """``presence`` (n_images, n_classes), bool: whether an image shows a class."""
        super().__init__(len(presence), batch_size, seed)
        clean = np.flatnonzero(~presence.any(axis=1))
        classes = [np.flatnonzero(column) for column in presence.T if column.any()]
        # The strata of one round, each as often as it is visited.
        self._turns: Sequence[np.ndarray] = classes or [clean]
        if classes and len(clean):
            self._turns = [stratum for members in classes for stratum in (clean, members)]

    def batch(self, number: int) -> list[tuple[int, int]]:
        """Items of one batch."""
        first = number * self.batch_size
        return [(draw, self._index(draw)) for draw in range(first, first + self.batch_size)]

    def _index(self, draw: int) -> int:
        round_number, turn = divmod(draw, len(self._turns))
        members = self._turns[turn]
        same = [t for t, other in enumerate(self._turns) if other is members]
        visit, place = divmod(round_number * len(same) + same.index(turn), len(members))
        # The first turn of a stratum is part of the seed, so that orders differ between strata.
        return int(members[_order(len(members), self.seed, visit, same[0])[place]])


@lru_cache(maxsize=64)
def _order(n: int, *seed: int) -> np.ndarray:
    """A random permutation of 0 … n - 1."""
    return np.random.default_rng(seed).permutation(n)

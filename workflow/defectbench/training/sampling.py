"""Which images make up which training step: a pure function of seed and step, so that a run can resume anywhere."""

from collections.abc import Iterator

import numpy as np


class StepBatches:
    """Batches of dataset indices for the steps ``start`` … ``start + n_steps``.

    The images are visited in passes, each in an order of its own drawn from (seed, pass). An incomplete batch
    at the end of a pass is left out (unless there are fewer images than one batch holds); the images in it
    change from pass to pass. Items are (pass, index): the pass seeds the augmentation.
    """

    def __init__(self, n_images: int, batch_size: int, seed: int) -> None:
        """Batches of ``batch_size`` out of ``n_images``."""
        self.n_images = n_images
        self.batch_size = min(batch_size, n_images)
        self.seed = seed
        self.start = 0
        self.n_steps = self.steps_per_pass

    @property
    def steps_per_pass(self) -> int:
        """Batches in one pass over the images."""
        return self.n_images // self.batch_size

    def __len__(self) -> int:
        """Number of batches that iterating gives."""
        return self.n_steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Yield the batches of the steps set by ``start`` and ``n_steps``."""
        for step in range(self.start, self.start + self.n_steps):
            number, position = divmod(step, self.steps_per_pass)
            order = np.random.default_rng((self.seed, number)).permutation(self.n_images)
            chosen = order[position * self.batch_size : (position + 1) * self.batch_size]
            yield [(number, int(index)) for index in chosen]

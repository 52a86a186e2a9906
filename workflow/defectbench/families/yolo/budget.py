"""The common budget in a training by ultralytics: whole batches, evaluations by steps, learning rate, early stopping.

What ultralytics calls an epoch is here the interval between two evaluations, whatever the number of images.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from defectbench.families.yolo.network import EarlyStopping
from defectbench.training.sampling import StepBatches


class IntervalBatches:
    """Dataset indices of batches without end; the length is the number of batches until the next evaluation.

    It takes the place of the batch sampler of ultralytics' endless loader.
    """

    def __init__(self, batch: Callable[[int], Sequence[int]], interval: int, total: int) -> None:
        """``batch`` gives the indices of a batch by its number; ``interval`` and ``total`` are numbers of batches."""
        self.batch = batch
        self.interval, self.total = interval, total
        self.done = 0
        """Batches trained on so far, to be set by the trainer."""

    @property
    def sampler(self) -> "IntervalBatches":
        """What ultralytics' loader takes its length from."""
        return self

    def __len__(self) -> int:
        """Batches until the next evaluation, the last of which is at the end of the budget."""
        return min(self.interval, self.total - self.done)

    def __iter__(self) -> Iterator[Sequence[int]]:
        """Yield the indices of all batches in turn."""
        return map(self.batch, itertools.count())


def make_batches(dataset: Any, batch_size: int, seed: int) -> Callable[[int], Sequence[int]]:
    """Indices of a batch of ultralytics' ``dataset`` by its number: passes in random order, as for other families.

    In a dataset of several aspects a batch has images of one shape, so only the order of the batches is random.
    """
    shapes = getattr(dataset, "batch_shapes", None)
    if shapes is None or (shapes == shapes[0]).all():
        batches = StepBatches(len(dataset), batch_size, seed)
        return lambda number: [index for _, index in batches.batch(number)]
    order = StepBatches(len(shapes), 1, seed)
    return lambda number: np.flatnonzero(dataset.batch == order.batch(number)[0][1]).tolist()


class Stopping(EarlyStopping):
    """Ultralytics' early stopping, counted from the learning rate's peak."""

    def __init__(self, patience: int | None, is_past_peak: Callable[[], bool]) -> None:
        """Stop after ``patience`` evaluations without a better fitness; None: never."""
        super().__init__(patience or 0)
        self.is_past_peak = is_past_peak

    def __call__(self, epoch: int, fitness: float) -> bool:
        """Whether to stop after this evaluation."""
        return self.is_past_peak() and super().__call__(epoch, fitness)

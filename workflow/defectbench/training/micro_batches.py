"""Micro-batches: after running out of memory, the next attempt splits each batch and accumulates the gradients."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from defectbench.config.train import TrainSettings
from defectbench.files import read_json, write_json
from defectbench.training.state import TrainingError

_RECORD = "batch_parts.json"
_TEXTS = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")


def read_micro_batches(state: Path) -> int:
    """Micro-batches per batch: 1, or the number recorded in ``state`` by an attempt that ran out of memory."""
    path = state / _RECORD
    return read_json(path)["parts"] if path.is_file() else 1


@contextmanager
def halve_batch_on_oom(
    name: str, state: Path, settings: TrainSettings, batch_size: int, micro_batches: int
) -> Iterator[None]:
    """Record in ``state`` that batches need at least twice as many ``micro_batches`` if the block runs out of memory.

    Micro-batches are of equal size, at least the fewest images that the network can train on. ``batch_size`` is the
    number of images in a batch, on all devices together; it does not change.

    Raises:
        TrainingError: in place of the block's error, with what happens next and what to set.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        kind = "GPU memory" if torch.cuda.is_available() else "memory"
        share = batch_size // settings.devices
        message = (
            f"{name}: out of {kind} with {share // micro_batches} images at a time (batch_size {settings.batch_size}, "
            f"accumulate {settings.accumulate}, devices {settings.devices}). "
        )
        limit = share // settings.min_images_per_device
        n = next((n for n in range(2 * micro_batches, limit + 1) if share % n == 0), None)
        if n is not None:
            write_json(state / _RECORD, {"parts": n})
            message += (
                f"The same command, or Snakemake's --retries, resumes from the last checkpoint with {share // n} "
                "at a time and accumulates their gradients: a step still has all images of its batch. Or set a smaller "
                f"batch_size and a larger accumulate, or a smaller img_size. {error}"
            )
        else:
            message += f"Fewer are not possible: set a smaller img_size, mode: crops, or a smaller network. {error}"
        raise TrainingError(message) from None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` means that the GPU, or the machine, is out of memory; libraries word it differently."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS)

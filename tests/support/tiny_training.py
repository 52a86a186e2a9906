"""A network and samples small enough to train in a second."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from defectbench.config.families.unet import UNetSettings
from defectbench.config.runtime import RuntimeSettings
from defectbench.training.fit import TrainingData, fit
from defectbench.training.job import Job
from defectbench.training.network_job import Training
from defectbench.training.task import SegmentationTask


class Squares:
    """Samples of the training loop's form: bright squares are defects; every third image is clean."""

    def __init__(self, n: int, task: str = "merged") -> None:
        self.task, self.n = task, n
        from defectbench.inference.geometry import Geometry

        self.geometry = Geometry.of("native", "native")
        self.image_ids = list(range(n))
        self.masks = self

    def areas(self) -> list[list[int]]:
        return [[int(self.true_masks(index).sum())] for index in self.image_ids]

    def __len__(self) -> int:
        return self.n

    def true_masks(self, index: int) -> np.ndarray:
        masks = np.zeros((1, 32, 64), np.uint8)
        if index % 3:
            left = 8 * (index % 6)
            masks[0, 8:20, left : left + 12] = 1
        return masks

    def __getitem__(self, item: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, int]:
        number, index = item
        masks = self.true_masks(index)
        noise = np.random.default_rng((number, index)).integers(0, 60, (1, 32, 64))
        return torch.from_numpy((noise + 150 * masks).astype(np.uint8)), torch.from_numpy(masks), index


class PixelSamples:
    """Samples of images and masks of the network's own size in memory, the same in every pass."""

    pixels: list[np.ndarray]
    """Images (1, H, W), uint8."""
    truth: list[np.ndarray]
    """Masks (1, H, W), 0 and 1."""
    image_ids: list[str]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def masks(self) -> "PixelSamples":
        return self

    def areas(self) -> dict[str, list[int]]:
        return {image_id: [int(mask.sum())] for image_id, mask in zip(self.image_ids, self.truth, strict=True)}

    def true_masks(self, index: int) -> np.ndarray:
        return self.truth[index]

    def __getitem__(self, item: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, int]:
        return torch.from_numpy(self.pixels[item[1]]), torch.from_numpy(self.truth[item[1]]), item[1]


class PowerLossError(BaseException):
    """Nothing catches it, as nothing can catch a loss of power."""


@contextmanager
def power_loss(step: int) -> Iterator[None]:
    """Let every training inside the block die after the optimiser step ``step``; that it does so is asserted.

    One that is not a task of Lightning dies before its record is written.
    """
    plain = SegmentationTask.on_train_batch_end

    def die(task, outputs, batch, batch_idx):
        plain(task, outputs, batch, batch_idx)
        if task.global_step == step:
            raise PowerLossError

    def die_unrecorded(*_):
        raise PowerLossError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentationTask, "on_train_batch_end", die)
        patch.setattr(Job, "write_record", die_unrecorded)
        with pytest.raises(PowerLossError):
            yield


def settings(**keys):
    defaults = {"encoder": "resnet18", "lr": 3e-2, "batch_size": 4, "precision": "fp32", "threads": 1, "patience": 50}
    return UNetSettings(**{**defaults, **keys})


class TinyNetwork(torch.nn.Module):
    """Raw images -> logits, in a few hundred parameters, with a BatchNorm whose statistics are state too."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 5, padding=2), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Conv2d(8, 1, 1)
        )

    def forward(self, images):
        return self.layers(images.float() / 255)


class WithoutNorm(TinyNetwork):
    def __init__(self) -> None:
        super().__init__()
        self.layers[1] = torch.nn.Identity()


def run_fit(
    name, network, loss, train, val, settings, state, classes=("merged",), report=None, runtime=None, **training
):
    """The training loop with a network and a loss, as a family would build them."""
    data = TrainingData(name, train, val, classes)
    keys = {key: value for key, value in training.items() if value is not None}
    runtime = RuntimeSettings(**(runtime or {}))
    return fit(Training(network, loss, {}, **keys), data, settings, state, report, runtime)

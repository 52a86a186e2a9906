"""Micro-batches after running out of memory."""

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_training import Squares, TinyNetwork, WithoutNorm, run_fit, settings

from defectbench.training.fit import fit_facts
from defectbench.training.losses import make_loss
from defectbench.training.micro_batches import halve_batch_on_oom, is_out_of_memory, read_micro_batches
from defectbench.training.state import TrainingError
from defectbench.training.task import SegmentationTask

TIMED = ["epoch_time", "images_per_second", "data_wait_share", "peak_memory"]


class PowerLoss(BaseException):
    pass


class Small(SegmentationTask):
    """Runs out of memory with more than ``images`` at a time, from step ``step`` on; dies in ``dies``."""

    images, step, dies = 4, 0, None

    def training_outputs(self, images, masks, indices):
        self.first = getattr(self, "first", self.global_step)
        if self.global_step == self.dies:
            raise PowerLoss
        if self.network.training and len(images) > self.images and self.global_step >= self.step:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return super().training_outputs(images, masks, indices)


def train(folder, network=WithoutNorm, **limits):
    torch.manual_seed(0)
    kind = type("Limited", (Small,), limits)
    seen = []

    def make_task(*arguments):
        seen.append(kind(*arguments))
        return seen[0]

    config = settings(loss="bce", batch_size=4, steps=6, eval_every=2)
    result = run_fit("x", network(), make_loss("bce"), Squares(12), Squares(8), config, folder, make_task=make_task)
    return result, seen[0].first


def test_the_next_attempt_resumes_with_half_the_images_at_a_time_and_the_same_steps(tmp_path):
    undisturbed, _ = train(tmp_path / "a")
    with pytest.raises(TrainingError, match=r"out of memory with 4 images at a time \(batch_size 4, accumulate 1"):
        train(tmp_path / "b", images=2, step=3)
    divided, first = train(tmp_path / "b", images=2)
    # From the last evaluation before it happened.
    assert first == 2
    assert (undisturbed.micro_batches, divided.micro_batches) == (1, 2)
    assert fit_facts(divided, settings())["batch_parts"] == 2
    untimed = (result.history.drop(columns=TIMED) for result in (divided, undisturbed))
    pd.testing.assert_frame_equal(*untimed, rtol=1e-4)
    for name, values in undisturbed.weights["last"].items():
        torch.testing.assert_close(divided.weights["last"][name], values)


def test_parts_double_until_one_image_is_too_much(tmp_path):
    for parts in (1, 2, 4):
        assert read_micro_batches(tmp_path) == parts
        with pytest.raises(TrainingError, match="with 1 images.*smaller img_size" if parts == 4 else "--retries"):
            train(tmp_path, images=0)
    assert read_micro_batches(tmp_path) == 4


def test_a_kill_divides_no_further(tmp_path):
    with pytest.raises(TrainingError):
        train(tmp_path, images=2)
    with pytest.raises(PowerLoss):
        train(tmp_path, images=2, dies=3)
    result, first = train(tmp_path, images=2)
    assert (first, result.micro_batches) == (2, 2)


def test_a_divided_training_that_is_killed_ends_as_an_undisturbed_divided_one(tmp_path):
    for folder in ("a", "b"):
        with pytest.raises(TrainingError):
            train(tmp_path / folder, TinyNetwork, images=2)
    undisturbed, _ = train(tmp_path / "a", TinyNetwork, images=2)
    with pytest.raises(PowerLoss):
        train(tmp_path / "b", TinyNetwork, images=2, dies=3)
    resumed, _ = train(tmp_path / "b", TinyNetwork, images=2)
    for name, values in undisturbed.weights["last"].items():
        assert torch.equal(values, resumed.weights["last"][name])


def test_no_part_is_smaller_than_the_network_can_train_on(tmp_path):
    config = settings(model="deeplabv3", batch_size=4, devices=2, steps=1)
    with (
        pytest.raises(TrainingError, match=r"with 2 images at a time.*Fewer are not possible"),
        halve_batch_on_oom("x", tmp_path, config, 4, 1),
    ):
        raise torch.OutOfMemoryError
    assert read_micro_batches(tmp_path) == 1


def allocate_on_the_cpu():
    torch.empty(2**60, dtype=torch.uint8)


def allocate_with_numpy():
    np.zeros(2**60, np.uint8)


@pytest.mark.parametrize("allocate", [allocate_on_the_cpu, allocate_with_numpy])
def test_running_out_of_memory_is_recognised(allocate):
    with pytest.raises((RuntimeError, MemoryError)) as error:
        allocate()
    assert is_out_of_memory(error.value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"), False),
        (TrainingError("the loss is nan"), False),
    ],
)
def test_out_of_memory_errors_are_distinguished_from_others(error, expected):
    assert is_out_of_memory(error) == expected

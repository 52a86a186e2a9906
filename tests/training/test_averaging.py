"""The exponential moving average of the weights, against one computed by hand from the weights of every step."""

import pytest
import torch
from tiny_training import Squares, TinyNetwork, WithoutNorm, power_loss, run_fit, settings

from defectbench.training.averaging import average_decay
from defectbench.training.losses import make_loss
from defectbench.training.task import SegmentationTask


@pytest.mark.parametrize(("step", "expected"), [(1, 2 / 11), (10, 11 / 20), (300, 301 / 310), (100_000, 0.999)])
def test_the_decay_rises_to_that_of_the_settings(step, expected):
    assert average_decay(step, 0.999) == pytest.approx(expected)


class Recorder(SegmentationTask):
    """Remembers the network's weights after every optimiser step, and those that validation saw."""

    def on_train_start(self):
        super().on_train_start()
        self.live, self.validated = {self.global_step: self.snapshot()}, {}

    def on_train_batch_end(self, *arguments):
        super().on_train_batch_end(*arguments)
        self.live.setdefault(self.global_step, self.snapshot())

    def validation_outputs(self, *batch):
        if self.trainer.state.fn == "fit":
            self.validated[self.global_step] = self.snapshot()
        return super().validation_outputs(*batch)

    def snapshot(self):
        return {name: value.clone() for name, value in self.network.state_dict().items()}


def train(folder, network=TinyNetwork, **keys):
    config = settings(steps=6, eval_every=2, **keys)
    torch.manual_seed(0)
    tasks = []

    def make_task(*arguments):
        tasks.append(Recorder(*arguments))
        return tasks[-1]

    result = run_fit("x", network(), make_loss("bce"), Squares(12), Squares(6), config, folder, make_task=make_task)
    return result, tasks[0]


def average_by_hand(live, decay):
    """Step -> the average after it, of floating-point tensors in float64; others as they are."""
    average = {name: value.double() if value.is_floating_point() else value for name, value in live[0].items()}
    averages = {}
    for step in range(1, max(live) + 1):
        d = min(decay, (1 + step) / (10 + step))
        average = {
            name: d * value + (1 - d) * live[step][name] if value.is_floating_point() else live[step][name]
            for name, value in average.items()
        }
        averages[step] = average
    return averages


def assert_close(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(actual[name].double(), value.double(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("keys", [{}, {"accumulate": 2, "batch_size": 2}, {"ema": 0.3}], ids=str)
def test_the_average_is_what_is_validated_and_saved_batchnorms_statistics_included(tmp_path, keys):
    result, task = train(tmp_path, checkpoint_every="3 steps", **keys)
    expected = average_by_hand(task.live, keys.get("ema", 0.999))
    assert set(task.validated) == {2, 4, 6}
    for step, weights in task.validated.items():
        assert_close(weights, expected[step])
    for name in result.weights:
        step = 6 if name == "last" else int(name.split("_")[-3 if name.startswith("best") else 0].removeprefix("step"))
        assert_close(result.weights[name], expected[step])
    assert "step3" in list(result.weights)
    assert_close(task.network.state_dict(), expected[result.best_step])
    # Training itself goes on from the weights, not from their average.
    assert not torch.allclose(task.live[6]["layers.0.weight"], task.validated[6]["layers.0.weight"])


def test_without_an_average_the_weights_themselves_are_saved(tmp_path):
    result, task = train(tmp_path, ema=0.0)
    assert all(torch.equal(value, task.live[6][name]) for name, value in result.weights["last"].items())


def test_the_average_changes_nothing_in_the_training(tmp_path):
    _, averaged = train(tmp_path / "a")
    _, plain = train(tmp_path / "b", ema=0.0)
    for step, weights in plain.live.items():
        assert all(torch.equal(value, averaged.live[step][name]) for name, value in weights.items())


@pytest.mark.parametrize("ema", [0.0, 0.999])
def test_an_interrupted_training_ends_with_the_same_average(tmp_path, ema):
    undisturbed, _ = train(tmp_path / "a", ema=ema)
    with power_loss(step=5):
        train(tmp_path / "b", ema=ema)
    resumed, task = train(tmp_path / "b", ema=ema)
    assert min(task.live) == 4
    assert list(resumed.weights) == list(undisturbed.weights)
    for name, values in undisturbed.weights.items():
        assert all(torch.equal(value, resumed.weights[name][key]) for key, value in values.items())


class FrozenBelow(WithoutNorm):
    """Only the last layer is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.layers[0].requires_grad_(False)


def test_frozen_parameters_are_neither_averaged_nor_saved(tmp_path):
    result, task = train(tmp_path, FrozenBelow)
    assert set(result.weights["last"]) == {"layers.3.weight", "layers.3.bias"}
    assert set(task.live[0]) > set(result.weights["last"])
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert set(checkpoint["live_weights"]) == {"network.layers.3.weight", "network.layers.3.bias"}
    (best, *_) = (tmp_path / "val_iou_fixed").glob("*.ckpt")
    assert torch.load(best, weights_only=True)["live_weights"] == {}

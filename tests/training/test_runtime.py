"""How a training runs on a machine: what may change between its attempts, what may not, and what is recorded."""

import pandas as pd
import pytest
import torch
from tiny_training import Squares, TinyNetwork, power_loss, run_fit, settings
from torch import nn
from unet_training import train, write_packs

from defectbench.training import fit as fit_module
from defectbench.training import network_job
from defectbench.training.losses import make_loss
from defectbench.training.state import TrainingError

TIMED = ["epoch_time", "images_per_second", "data_wait_share", "peak_memory"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_packs(tmp_path_factory.mktemp("unet"))


@pytest.fixture
def steps_taken(monkeypatch):
    """The optimiser steps that trainings begin with."""
    steps = []
    plain = fit_module.SegmentationTask.on_train_start

    def remember(task):
        plain(task)
        steps.append(task.global_step)

    monkeypatch.setattr(fit_module.SegmentationTask, "on_train_start", remember)
    return steps


def test_an_interrupted_training_resumes_with_other_runtime_settings_to_the_same_weights(folder, tmp_path, steps_taken):
    keys = {"steps": 4, "eval_every": 1}
    train(folder, tmp_path / "a", **keys)
    with power_loss(step=3):
        train(folder, tmp_path / "b", **keys)
    run, weights = train(folder, tmp_path / "b", {"workers": 1, "checkpoint_every": "4 steps"}, **keys)
    assert steps_taken == [0, 0, 2]
    assert run["runtime"] == {"workers": 1, "checkpoint_every": "4 steps", "compile": False}
    assert "workers" not in run["settings"]
    assert (tmp_path / "b" / "exp" / "checkpoints" / "step4.safetensors").is_file()
    assert weights.read_bytes() == (tmp_path / "a" / "exp" / "model" / "weights.safetensors").read_bytes()
    first, second = (pd.read_csv(tmp_path / name / "exp" / "history.csv") for name in "ab")
    pd.testing.assert_frame_equal(first.drop(columns=TIMED), second.drop(columns=TIMED), check_exact=True)


@pytest.mark.parametrize(("changes", "begins"), [({}, 1), ({"precision": "bf16"}, 0), ({"device": "xpu"}, 0)], ids=str)
def test_a_training_is_not_continued_in_another_arithmetic(folder, tmp_path, monkeypatch, steps_taken, changes, begins):
    keys = {"steps": 3, "eval_every": 1, "precision": "auto"}
    monkeypatch.setattr(network_job, "resolve_precision", lambda _: "fp32")
    monkeypatch.setattr(network_job, "device_name", lambda device: "first card")
    with power_loss(step=2):
        train(folder, tmp_path, **keys)
    monkeypatch.setattr(network_job, "resolve_precision", lambda _: changes.get("precision", "fp32"))
    device = torch.device(changes.get("device", "cpu"))
    monkeypatch.setattr(network_job, "resolve_device", lambda: device)
    monkeypatch.setattr(network_job, "device_name", lambda device: "second card")
    run, _ = train(folder, tmp_path, **keys)
    assert steps_taken == [0, begins]
    assert run["devices"] == (["first card", "second card"] if begins else ["second card"])
    assert run["device"] == "second card"


class Encoding(TinyNetwork):
    """A network of which only a part is to be compiled, called by another method than forward."""

    def forward(self, images):
        return self.layers[3](self.layers[:3](images.float() / 255))


@pytest.fixture
def compiled(monkeypatch):
    """Calls of compiled modules: class name -> batch sizes; the compiler is torch's own without code generation."""
    calls = {}
    plain = nn.Module.compile

    def with_eager_backend(module, **options):
        def backend(graph, examples):
            calls.setdefault(type(module).__name__, []).append(options)
            return graph.forward

        plain(module, backend=backend, **options)

    monkeypatch.setattr(nn.Module, "compile", with_eager_backend)
    torch._dynamo.reset()
    return calls


def fit_tiny(folder, network, **training):
    config = settings(steps=3, eval_every=3)
    data = Squares(12), Squares(6)
    return run_fit("x", network, make_loss("bce"), *data, config, folder, runtime={"compile": True}, **training)


def test_the_network_is_compiled_once_for_every_shape_and_mode(tmp_path, compiled):
    torch.manual_seed(0)
    network = TinyNetwork()
    result = fit_tiny(tmp_path / "a", network)
    # Batches of 4 in training, of 4 and 2 in validation.
    assert compiled == {"TinyNetwork": [{"dynamic": False}] * 3}
    assert set(result.weights["last"]) == set(TinyNetwork().state_dict())


def test_only_the_parts_that_a_family_names_are_compiled(tmp_path, compiled):
    network = Encoding()
    fit_tiny(tmp_path, network, compiled=[network.layers[3]])
    assert set(compiled) == {"Conv2d"}


def test_without_a_compiler_compilation_is_refused_with_what_to_do(tmp_path, monkeypatch):
    def missing():
        raise RuntimeError("none of g++, clang++ found")

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", missing)
    with pytest.raises(TrainingError, match=r"runtime.compile needs a C\+\+ compiler"):
        fit_tiny(tmp_path, TinyNetwork())

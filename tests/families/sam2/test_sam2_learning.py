"""SAM 2 learns: images by heart, a lower loss in every variant; a killed training ends as it would have."""

import functools
import hashlib

import cv2
import numpy as np
import pytest
import torch
from tiny_training import PixelSamples, power_loss, run_fit

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.config.families.sam2_head import Sam2HeadSettings
from defectbench.config.prompts import PromptSettings
from defectbench.data.prompts import draw_prompts
from defectbench.families.sam2.adapters import add_adapters, set_trainable
from defectbench.families.sam2.loss import Sam2Loss
from defectbench.families.sam2.network import NativeSam2
from defectbench.families.sam2.object_pool import collect_objects
from defectbench.families.sam2.prompt_sampling import PromptSampler
from defectbench.families.sam2.task import Prompting, PromptTask
from defectbench.families.sam2_head.network import Sam2Head
from defectbench.inference.geometry import Geometry
from defectbench.training.losses import make_loss


class Strips(PixelSamples):
    """Synthetic strips: noise with one or two bright ellipses; samples of training and validation alike."""

    def __init__(self, n: int, height: int, width: int) -> None:
        rng = np.random.default_rng(0)
        self.pixels, self.truth = [], []
        self.task, self.geometry = "merged", Geometry.of("native", "native")
        self.image_ids = [str(index) for index in range(n)]
        for _ in range(n):
            mask = np.zeros((height, width), np.uint8)
            for _ in range(int(rng.integers(1, 3))):
                centre = (int(rng.integers(20, width - 20)), int(rng.integers(10, height - 10)))
                axes = (int(rng.integers(8, width // 6)), int(rng.integers(6, height // 3)))
                cv2.ellipse(mask, centre, axes, float(rng.integers(180)), 0, 360, 1, -1)
            image = rng.normal(110, 12, mask.shape) + 45 * mask
            self.pixels.append(image.clip(0, 255).astype(np.uint8)[None])
            self.truth.append(mask[None])

    def prompts(self, kind: str) -> dict:
        fixed = PromptSettings()
        return {name: draw_prompts(kind, self.truth[int(name)][0], name, fixed) for name in self.image_ids}


def prompting(settings, data: Strips) -> Prompting:
    fixed = PromptSettings()
    sampler = PromptSampler(settings, fixed, collect_objects(data, settings, fixed))
    return Prompting(sampler, data.prompts(settings.prompt))


def train(folder, data: Strips, **keys):
    """History of a training of the promptable model, and its weights."""
    settings = Sam2Settings(**{"init": "random", "precision": "fp32", "threads": 2, "patience": 99, **keys})
    torch.manual_seed(0)
    network = NativeSam2(settings.version, settings.size)
    set_trainable(network, settings)
    task = functools.partial(PromptTask, prompting=prompting(settings, data))
    result = run_fit("strips", network, Sam2Loss(settings.recipe), data, data, settings, folder, make_task=task)
    return result.history, result.weights["last"]


@pytest.mark.slow
def test_eight_strips_are_learned_by_heart_from_box_prompts(tmp_path):
    torch.set_num_threads(2)
    keys = {"tune": "full", "lr": 1e-4, "batch_size": 8, "steps": 60, "eval_every": 15, "precision": "auto"}
    history, _ = train(tmp_path, Strips(8, 128, 416), **keys)
    assert history["val_iou_fixed"].max() > 0.8


@pytest.mark.parametrize("keys", [{"recipe": "published"}, {"recipe": "dice_focal", "prompt": "points"}])
def test_adapters_lower_the_loss(tmp_path, keys):
    torch.set_num_threads(1)
    quick = {"tune": "lora", "lora_target": "both", "batch_size": 2, "steps": 16, "eval_every": 4, "lr": 1e-3}
    history, _ = train(tmp_path, Strips(2, 32, 96), **quick, **keys)
    losses = history["train_loss"].to_numpy()[1:]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("tune", ["head", "lora"])
def test_a_head_lowers_the_loss(tmp_path, tune):
    torch.set_num_threads(1)
    data = Strips(2, 32, 96)
    settings = Sam2HeadSettings(
        tune=tune, batch_size=2, steps=24, eval_every=6, lr=1e-3, precision="fp32", patience=99, loss="dice_bce"
    )
    torch.manual_seed(0)
    network = Sam2Head(NativeSam2("2.1", "tiny"), 1, 32)
    if tune == "lora":
        add_adapters(network.sam, settings)
    history = run_fit("head", network, make_loss(settings.loss), data, data, settings, tmp_path).history
    assert (np.diff(history["train_loss"][1:]) < 0).all()


def digests(network):
    """SHA-256 of every tensor."""
    state = network.state_dict()
    return {
        name: hashlib.sha256(value.detach().contiguous().numpy().tobytes()).digest() for name, value in state.items()
    }


@pytest.mark.parametrize("part", ["lora", "decoder", "prompt_encoder"])
def test_only_trainable_tensors_change(tmp_path, part):
    torch.set_num_threads(1)
    keys = {"tune": "lora"} if part == "lora" else {"tune": "full", "train": part}
    data = Strips(2, 32, 64)
    quick = {"init": "random", "batch_size": 2, "steps": 2, "eval_every": 1, "lr": 1e-2, "precision": "fp32"}
    settings = Sam2Settings(**quick, **keys)
    torch.manual_seed(0)
    network = NativeSam2("2.1", "tiny")
    set_trainable(network, settings)
    before = digests(network)
    task = functools.partial(PromptTask, prompting=prompting(settings, data))
    run_fit("strips", network, Sam2Loss("published"), data, data, settings, tmp_path, make_task=task)
    changed = {name for name, digest in digests(network).items() if digest != before[name]}
    trained = {name for name, value in network.named_parameters() if value.requires_grad}
    assert changed
    assert changed <= trained


def test_an_interrupted_training_ends_as_an_undisturbed_one(tmp_path):
    torch.set_num_threads(1)
    data = Strips(3, 32, 64)
    keys = {
        "tune": "full",
        "train": "decoder",
        "lr": 1e-3,
        "batch_size": 1,
        "steps": 6,
        "eval_every": 2,
        "prompt": "points",
    }
    undisturbed, weights = train(tmp_path / "a", data, **keys)
    with power_loss(step=3):
        train(tmp_path / "b", data, **keys)
    resumed, again = train(tmp_path / "b", data, **keys)
    assert resumed["val_loss"].tolist() == undisturbed["val_loss"].tolist()
    assert weights.keys() == again.keys()
    assert all(weights[name].equal(again[name]) for name in weights)
    # Frozen weights are not saved.
    assert not [name for name in weights if name.startswith("image_encoder")]

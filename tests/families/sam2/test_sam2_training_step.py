"""One training step is that of the sam2 package: same loss and gradients of same weights, images, clicks."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sam2_reference import official_training, picture, training_batch

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.data.prompts import Prompt
from defectbench.families.sam2 import task as task_module
from defectbench.families.sam2.loss import Sam2Loss
from defectbench.families.sam2.network import NativeSam2
from defectbench.families.sam2.prompt_sampling import PromptBatch
from defectbench.families.sam2.task import Prompting, PromptTask

SIDE, CLICKS = 64, 2
# Images of the prompts; the last target is empty.
INDEX = [0, 0, 1]


def true_masks():
    masks = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    masks[0, 4:30, 10:40] = 1
    masks[1, 36:60, 20:50] = 1
    return masks


def our_step(network, inputs, monkeypatch):
    """Loss of our training step, whose prompts and clicks are the package's ``inputs``, one entry for each click."""

    def prompts(points):
        pairs = zip(points["point_coords"].numpy(), points["point_labels"].numpy(), strict=True)
        return [Prompt(xy.astype(np.float32), labels.astype(np.int8)) for xy, labels in pairs]

    clicks = itertools.chain.from_iterable(prompts(points) for points in inputs[1:])
    monkeypatch.setattr(task_module, "add_correction_click", lambda *args: next(clicks))
    batch = PromptBatch(INDEX, prompts(inputs[0]), true_masks().numpy())
    sampler = SimpleNamespace(draw=lambda masks, rng: batch)
    settings = Sam2Settings(tune="full", recipe="published", correction_clicks=CLICKS)
    rest = (settings, 1, None, ("merged",))
    task = PromptTask("step", network, Sam2Loss(settings.recipe), *rest, prompting=Prompting(sampler, {}))
    masks = torch.zeros(2, 1, SIDE, SIDE, dtype=torch.uint8)
    loss, _, targets = task.training_outputs(two_images(), masks, torch.arange(2))
    assert torch.equal(targets[:, 0], true_masks())
    return loss


def two_images():
    return torch.stack([picture(seed, SIDE, SIDE, 3) for seed in range(2)])


def boxes():
    corners = torch.tensor([[[10, 4], [39, 29]], [[20, 36], [49, 59]], [[5, 5], [30, 50]]], dtype=torch.float32)
    return corners, torch.tensor([[2, 3]] * 3, dtype=torch.int32)


@pytest.mark.parametrize("first", ["box", "point"])
@pytest.mark.parametrize("bias", [1.0, 0.02], ids=["all objects seen", "some objects seen"])
def test_loss_and_gradients_are_those_of_the_package(first, bias, monkeypatch):
    torch.set_num_threads(1)
    torch.manual_seed(3)
    network = NativeSam2("2.1", "tiny").train()
    with torch.no_grad():
        network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias += bias
    keys = {"num_correction_pt_per_frame": CLICKS, "prob_to_use_box_input_for_train": float(first == "box")}
    sam, loss_of = official_training(network, SIDE, **keys)
    pixels = (two_images().float() / 255 - network.mean) / network.std
    batch = training_batch(pixels, true_masks(), INDEX)
    if first == "box":
        # Given, since the package draws none for an empty mask.
        monkeypatch.setattr("training.model.sam2.sample_box_points", lambda masks: boxes())
    outputs = sam(batch)
    theirs = loss_of(outputs, batch.masks)["core_loss"]
    theirs.backward()
    scores = torch.cat(outputs[0]["multistep_object_score_logits"])
    assert (scores > 0).all() == (bias == 1)
    assert (scores > 0).any()
    inputs = outputs[0]["multistep_point_inputs"]
    assert [points["point_labels"].shape[1] for points in inputs] == [1 + (first == "box") + n for n in range(3)]
    assert [masks.shape[1] for masks in outputs[0]["multistep_pred_multimasks"]] == [1 if first == "box" else 3, 1, 1]
    ours = our_step(network, inputs, monkeypatch)
    ours.backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    reference = {name: parameter.grad for name, parameter in sam.named_parameters() if parameter.grad is not None}
    actual = {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert actual.keys() == reference.keys() & dict(network.named_parameters()).keys()
    assert len(actual) > 200
    largest = max(gradient.norm() for gradient in reference.values())
    for name, gradient in actual.items():
        # Some are 0 but for rounding: a bias that is added to all keys changes no attention.
        assert (gradient - reference[name]).norm() <= 1e-4 * reference[name].norm() + 1e-7 * largest, name

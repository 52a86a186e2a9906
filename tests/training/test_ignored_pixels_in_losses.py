"""Ignored pixels in every loss: as if they were cut off, whatever is predicted there, and without a gradient."""

from types import SimpleNamespace

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from sklearn.metrics import log_loss
from torch.nn import functional
from torch.nn.functional import binary_cross_entropy_with_logits

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.data.packing import IGNORED
from defectbench.families.sam2.loss import Sam2Loss, dice_per_mask, focal_per_mask, true_iou
from defectbench.families.sam2.network import DecoderOutput
from defectbench.families.sam3.loss import Sam3Loss, instance_loss
from defectbench.families.sam3.network import PhraseOutput
from defectbench.families.unet.task import PresenceTask
from defectbench.metrics.codes import codes_from_logits
from defectbench.training.losses import deeply_supervised, focal_loss, lovasz_loss, make_loss
from defectbench.training.task import _confusion
from defectbench.training.validation import Evaluation

NAMES = ("bce", "dice", "combo", "bce75_dice25", "dice_bce", "dice_focal", "tversky", "lovasz")
KEPT, WIDTH = 8, 14
"""Columns that somebody decided, and all."""


def random_batch(n_maps=2, seed=0):
    """Logits, and masks whose last columns are ignored."""
    rng = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(3, n_maps, 8, WIDTH, generator=rng)
    masks = (torch.rand(3, n_maps, 8, WIDTH, generator=rng) > 0.7).to(torch.uint8)
    masks[..., KEPT:] = IGNORED
    return logits, masks


def check(loss, logits, masks):
    """That ``loss`` of logits and masks leaves the last columns out."""
    logits = logits.clone().requires_grad_()
    value = loss(logits, masks)
    value.backward()
    assert value.item() == pytest.approx(loss(logits[..., :KEPT], masks[..., :KEPT]).item(), rel=1e-5)
    assert not logits.grad[..., KEPT:].any()
    assert logits.grad[..., :KEPT].any()
    others = logits.detach().clone()
    others[..., KEPT:] = 100 * torch.randn(others[..., KEPT:].shape)
    assert loss(others, masks) == value


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_that_of_the_other_pixels(name):
    check(make_loss(name, (3.0, 1.5)), *random_batch())


@pytest.mark.parametrize("name", NAMES)
def test_every_level_of_deep_supervision_leaves_them_out(name):
    loss = deeply_supervised(make_loss(name))
    check(lambda logits, masks: loss((logits, logits / 2, -logits), masks), *random_batch())


def test_bce_and_dice_by_hand():
    logits = torch.tensor([2.0, -1.0, 0.0, 3.0]).reshape(1, 1, 2, 2)
    masks = torch.tensor([1, IGNORED, 0, IGNORED]).reshape(1, 1, 2, 2)
    p = 1 / (1 + np.exp(-np.array([2.0, 0.0])))
    assert make_loss("bce")(logits, masks).item() == pytest.approx(log_loss([1, 0], p), rel=1e-5)
    # tp = p_1, fp = p_2, fn = 1 - p_1
    dice = 1 - (p[0] + 1) / (p[0] + p[1] / 2 + (1 - p[0]) / 2 + 1)
    assert make_loss("dice")(logits, masks).item() == pytest.approx(dice, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_without_a_decided_pixel_teaches_nothing(name):
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    loss = make_loss(name)(logits, torch.full((2, 1, 8, 8), IGNORED))
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("name", NAMES)
def test_without_any_the_loss_is_the_librarys_to_the_last_bit(name):
    logits, masks = random_batch()
    logits, masks = logits.requires_grad_(), (masks == 1).float()
    weight = torch.tensor([3.0, 1.5]).view(-1, 1, 1)
    dice = smp.losses.DiceLoss(mode="multilabel", smooth=1.0)(logits, masks)
    bce = functional.binary_cross_entropy_with_logits(logits, masks, pos_weight=weight)
    expected = {
        "bce": bce,
        "dice": dice,
        "combo": 0.5 * bce + 0.5 * dice,
        "bce75_dice25": 0.75 * bce + 0.25 * dice,
        "dice_bce": dice + bce,
        "dice_focal": dice + focal_loss(logits, masks),
        "tversky": smp.losses.TverskyLoss(mode="multilabel", smooth=1.0, alpha=0.3, beta=0.7)(logits, masks),
        "lovasz": lovasz_loss(logits, masks),
    }[name]
    loss = make_loss(name, (3.0, 1.5))(logits, masks)
    gradients = [torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (loss, expected)]
    assert torch.equal(loss, expected)
    assert torch.equal(*gradients)


def sam2_parts(seed=1):
    logits, masks = random_batch(3, seed)
    targets = masks[:, 0]
    targets[2, :, :KEPT] = 0  # a prompt on a clean place
    rng = torch.Generator().manual_seed(seed)
    output = DecoderOutput(logits, torch.rand(3, 3, generator=rng), torch.randn(3, generator=rng))
    return output, logits, targets


@pytest.mark.parametrize("recipe", ["published", "dice_focal"])
def test_the_loss_of_sam2_leaves_them_out_of_masks_and_of_the_predicted_iou(recipe):
    output, logits, targets = sam2_parts()
    check(lambda masks, truth: Sam2Loss(recipe)(output, masks, truth), logits, targets)


def test_a_prompt_on_nothing_but_ignored_pixels_teaches_nothing():
    output, logits, targets = sam2_parts()
    parts = [part[:1].clone().requires_grad_() for part in (logits, output.iou, output.object_score)]
    loss = Sam2Loss("published")(DecoderOutput(*parts), parts[0], torch.full_like(targets[:1], IGNORED))
    loss.backward()
    assert loss == 0
    assert not any(part.grad.any() for part in parts)


def test_without_any_the_loss_of_sam2_is_what_it_was_to_the_last_bit():
    output, masks, targets = sam2_parts()
    targets = (targets == 1).float()
    true, present = targets[:, None].expand_as(masks), targets.flatten(1).any(dim=1).float()
    best = (20 * focal_per_mask(masks, true, 0.25) * present[:, None]) + dice_per_mask(masks, true) * present[:, None]
    iou = functional.l1_loss(output.iou, true_iou(masks, true), reduction="none").mean(dim=1) * present
    score = binary_cross_entropy_with_logits(output.object_score, present, reduction="none")
    expected = (best.amin(dim=1) + 1.0 * iou + 1.0 * score).mean()
    assert torch.equal(Sam2Loss("published")(output, masks, targets), expected)


def sam3_parts():
    """Outputs at half the resolution of the truth, whose last columns are ignored."""
    rng = torch.Generator().manual_seed(2)
    _, truth = random_batch(2)
    masks, scores = torch.randn(3, 2, 5, 4, WIDTH // 2, generator=rng), torch.randn(3, 2, 5, generator=rng)
    return masks, scores, truth


def test_instances_of_sam3_leave_them_out():
    masks, scores, truth = sam3_parts()

    def loss(logits, true):
        return instance_loss(logits, scores[0, 0], true)

    masks = masks[0, 0].requires_grad_()
    value = loss(masks, truth[0, 0])
    value.backward()
    half = KEPT // 2
    assert value.item() == pytest.approx(loss(masks[..., :half], truth[0, 0, :, :KEPT]).item(), rel=1e-5)
    assert not masks.grad[..., half:].any()
    assert masks.grad[..., :half].any()


def test_the_loss_of_sam3_is_that_of_the_other_pixels():
    masks, scores, truth = sam3_parts()
    truth[1, 0, :, :KEPT] = 0  # of this map, nothing but undecided pixels
    presence = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.0, 3.0]])
    loss = Sam3Loss(Sam3Settings(presence_weight=2.0, instance_weight=0.5, loss="dice_focal"))

    def value(semantic, true):
        cut = masks[..., : true.shape[-1] // 2]
        return loss(PhraseOutput(semantic, presence, cut, scores), semantic, true)

    check(value, random_batch()[0], truth)


@pytest.mark.parametrize("decided", [True, False])
def test_presence_is_that_of_a_decided_defect(decided):
    """An image whose defects are all ignored is clean, as in its scores; one without a decided pixel is nothing."""
    masks = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    masks[..., 4:] = IGNORED
    presence = torch.tensor([[2.0]], requires_grad=True)
    if not decided:
        masks[:] = IGNORED
    network = SimpleNamespace(network=lambda images: (torch.zeros(1, 1, 8, 8), presence), loss=lambda *_: 0.0)
    loss, *_ = PresenceTask.training_outputs(network, None, masks, None)
    assert loss.item() == pytest.approx(np.log1p(np.exp(2.0)) if decided else 0)


def test_counts_in_training_leave_them_out():
    logits, masks = random_batch()
    expected = _confusion(logits[..., :KEPT], masks[..., :KEPT])
    assert _confusion(logits, masks).tolist() == expected.tolist()
    assert expected.sum() > 50


@pytest.mark.parametrize("classes", [("merged",), ("dent", "stain")])
def test_validation_scores_the_other_pixels(classes):
    logits, masks = (values.numpy() for values in random_batch(len(classes)))
    logits[0, :, :3, KEPT:] = 9  # a sure prediction, where nobody decided
    whole, cut = Evaluation(classes), Evaluation(classes)
    for codes, truth in zip(codes_from_logits(logits), masks, strict=True):
        whole.add(codes, truth)
        cut.add(np.ascontiguousarray(codes[..., :KEPT]), np.ascontiguousarray(truth[..., :KEPT]))
    assert whole.metrics() == cut.metrics()
    assert whole.metrics()["auprc"] is not None

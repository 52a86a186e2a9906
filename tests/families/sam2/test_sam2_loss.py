"""The loss of a SAM 2 against hand-computed values and the library's."""

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from torch.nn import functional

from defectbench.families.sam2.loss import Sam2Loss, dice_per_mask, focal_per_mask, true_iou
from defectbench.families.sam2.network import DecoderOutput


def answer(iou, score):
    return DecoderOutput(torch.zeros(1), torch.tensor(iou), torch.tensor(score))


def target(n=1):
    mask = torch.zeros(n, 4, 4)
    mask[:, :2] = 1
    return mask


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_focal_is_that_of_the_library(alpha):
    logits, masks = torch.randn(2, 3, 8, 8), (torch.rand(2, 3, 8, 8) > 0.7).float()
    reference = smp.losses.FocalLoss("binary", alpha=alpha, gamma=2.0, reduction="mean")
    actual = focal_per_mask(logits, masks, alpha)
    for i, j in np.ndindex(2, 3):
        assert actual[i, j].item() == pytest.approx(reference(logits[i, j], masks[i, j]).item(), rel=1e-4)


def test_dice_of_one_half_everywhere():
    # 8 of 16 pixels true, p = 1/2: 1 - (2 * 4 + 1) / (8 + 8 + 1)
    assert dice_per_mask(torch.zeros(1, 1, 4, 4), target()[:, None]).item() == pytest.approx(1 - 9 / 17)


def test_true_iou_of_half_a_mask_is_one_half_and_of_two_empty_ones_zero():
    logits = torch.full((1, 2, 4, 4), -1.0)
    logits[:, 0, 0] = 1
    assert true_iou(logits, target()[:, None].expand(1, 2, 4, 4)).tolist() == [[0.5, 0.0]]
    assert true_iou(logits[:, 1:], torch.zeros(1, 1, 4, 4)).item() == 0


def test_the_terms_add_up_with_the_published_weights():
    masks = torch.stack([torch.zeros(4, 4), torch.full((4, 4), 3.0), torch.full((4, 4), -3.0)])[None]
    true_masks = target()[:, None].expand_as(masks)
    guess, score = [[0.2, 0.7, 0.1]], [1.5]
    parts = 20 * focal_per_mask(masks, true_masks, 0.25) + dice_per_mask(masks, true_masks)
    iou = np.abs(np.array(guess) - np.array([[0.0, 0.5, 0.0]])).mean()
    expected = parts.min().item() + iou + np.log1p(np.exp(-1.5))
    assert Sam2Loss("published")(answer(guess, score), masks, target()).item() == pytest.approx(expected, rel=1e-5)


def test_only_the_best_mask_gets_a_gradient():
    masks = torch.zeros(1, 3, 4, 4)
    masks[:, 1] = 5 * (2 * target() - 1)
    masks.requires_grad_()
    Sam2Loss("published")(answer([[0.0, 0.0, 0.0]], [0.0]), masks, target()).backward()
    moved = masks.grad.abs().flatten(2).sum(dim=2)[0]
    assert moved[1] > 0
    assert moved[0] == moved[2] == 0


def test_where_the_truth_is_empty_the_object_score_alone_learns():
    masks, iou = torch.randn(1, 3, 4, 4, requires_grad=True), torch.rand(1, 3, requires_grad=True)
    score = torch.tensor([2.0], requires_grad=True)
    loss = Sam2Loss("published")(DecoderOutput(masks, iou, score), masks, torch.zeros(1, 4, 4))
    loss.backward()
    assert loss.item() == pytest.approx(functional.softplus(torch.tensor(2.0)).item())
    assert masks.grad.abs().sum() == iou.grad.abs().sum() == 0
    assert score.grad > 0


@pytest.mark.parametrize("recipe", ["published", "dice_focal"])
@pytest.mark.parametrize("logit", [-80.0, 0.0, 80.0])
def test_gradients_are_finite_for_empty_and_full_masks(recipe, logit):
    masks = torch.full((2, 3, 4, 4), logit, requires_grad=True)
    targets = torch.stack([torch.zeros(4, 4), torch.ones(4, 4)])
    scores = DecoderOutput(masks, torch.rand(2, 3, requires_grad=True), torch.zeros(2, requires_grad=True))
    loss = Sam2Loss(recipe)(scores, masks, targets)
    loss.backward()
    assert loss.isfinite()
    assert masks.grad.isfinite().all()

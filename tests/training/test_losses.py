"""Losses against their formulas, written out in NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from defectbench.training.losses import deeply_supervised, focal_loss, lovasz_loss, make_loss

NAMES = ("bce", "dice", "combo", "bce75_dice25", "dice_bce", "dice_focal", "tversky", "lovasz")
LOGITS = np.array([2.0, -1.0, 0.0, 3.0])
TRUTH = np.array([1.0, 1.0, 0.0, 0.0])
P = 1 / (1 + np.exp(-LOGITS))
P_TRUE = np.where(TRUTH == 1, P, 1 - P)
TP, FP, FN = (P * TRUTH).sum(), (P * (1 - TRUTH)).sum(), ((1 - P) * TRUTH).sum()
BCE = -np.log(P_TRUE).mean()
WEIGHTED_BCE = -(np.where(TRUTH == 1, 3, 1) * np.log(P_TRUE)).mean()
DICE = 1 - (TP + 1) / (TP + FP / 2 + FN / 2 + 1)
FOCAL = -((1 - P_TRUE) ** 2 * np.log(P_TRUE)).mean()


def batch(values):
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 2, 2)


def value(name, *weights):
    return make_loss(name, *weights)(batch(LOGITS), batch(TRUTH)).item()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bce", BCE),
        ("dice", DICE),
        ("combo", 0.5 * BCE + 0.5 * DICE),
        ("bce75_dice25", 0.75 * BCE + 0.25 * DICE),
        ("dice_bce", DICE + BCE),
        ("dice_focal", DICE + FOCAL),
        ("tversky", 1 - (TP + 1) / (TP + 0.3 * FP + 0.7 * FN + 1)),
    ],
)
def test_losses_equal_their_formulas(name, expected):
    assert value(name) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"), [("bce", WEIGHTED_BCE), ("bce75_dice25", 0.75 * WEIGHTED_BCE + 0.25 * DICE)]
)
def test_pos_weight_multiplies_defect_pixels_of_the_bce_term(name, expected):
    assert value(name, (3.0,)) == pytest.approx(expected, rel=1e-5)


def test_each_map_has_the_pos_weight_of_its_class():
    logits, masks = torch.zeros(2, 4, 3, 5), torch.ones(2, 4, 3, 5)
    loss = make_loss("bce", (2.0, 2.0, 1.0, 1.5))(logits, masks).item()
    assert loss == pytest.approx(np.log(2) * (2 + 2 + 1 + 1.5) / 4, rel=1e-6)


def test_focal_loss_equals_its_formula():
    assert focal_loss(batch(LOGITS), batch(TRUTH)).item() == pytest.approx(FOCAL, rel=1e-5)


def lovasz_by_hand(logits, truth):
    """Σ m_i·(J_i − J_{i-1}) over the errors m in falling order, J = 1 − IoU if the first i are wrong."""
    errors = np.maximum(1 - logits * (2 * truth - 1), 0)
    total, before = 0.0, 0.0
    for n, index in enumerate(np.argsort(-errors, kind="stable"), start=1):
        wrong = np.argsort(-errors, kind="stable")[:n]
        lost, false = truth[wrong].sum(), (1 - truth[wrong]).sum()
        now = 1 - (truth.sum() - lost) / (truth.sum() + false)
        total += errors[index] * (now - before)
        before = now
    return total


def test_lovasz_equals_its_definition_for_each_image_and_map():
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 2, (2, 3, 4, 5)).astype(float)
    truth[0, 1] = 0
    expected = [lovasz_by_hand(logits[b, c].ravel(), truth[b, c].ravel()) for b in range(2) for c in range(3)]
    actual = lovasz_loss(torch.tensor(logits).float(), torch.tensor(truth).float())
    assert actual.item() == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fill", [0, 1])
def test_gradients_are_finite_for_empty_and_full_masks(name, fill, dtype):
    logits = torch.linspace(-30, 30, 128, dtype=dtype).reshape(1, 2, 8, 8).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = make_loss(name)(logits, torch.full((1, 2, 8, 8), fill))
    assert loss.dtype == torch.float32
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("dice", "tversky")])
def test_a_clean_batch_still_teaches(name):
    logits = torch.zeros(2, 1, 8, 8, requires_grad=True)
    make_loss(name)(logits, torch.zeros(2, 1, 8, 8)).backward()
    assert (logits.grad > 0).any()


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=5))
def test_deep_supervision_halves_the_weight_of_each_coarser_level(losses):
    # A stand-in for the loss: what the output holds.
    outputs = tuple(torch.tensor(value) for value in losses)
    weights = [1 / 2**level for level in range(len(losses))]
    expected = np.average(losses, weights=weights)
    total = deeply_supervised(lambda output, masks: output)(outputs, torch.zeros(1))
    assert total.item() == pytest.approx(expected, rel=1e-5)


def test_deep_supervision_leaves_a_single_output_alone():
    loss = make_loss("dice_bce")
    assert deeply_supervised(loss)(batch(LOGITS), batch(TRUTH)) == loss(batch(LOGITS), batch(TRUTH))

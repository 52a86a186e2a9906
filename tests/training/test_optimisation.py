"""Optimisers and schedules, against closed forms."""

import math

import pytest
import torch

from defectbench.config.families.unet import UNetSettings
from defectbench.training.optimisation import cosine_with_warmup, make_optimizer, make_schedule

TOTAL = 100


def rates(settings, metrics=None):
    """Learning rate of every step, or of every evaluation if there are ``metrics``."""
    optimizer = make_optimizer(settings, [{"params": [torch.nn.Parameter(torch.zeros(1))]}])
    schedule = make_schedule(settings, optimizer, TOTAL)
    actual = []
    for step in range(TOTAL if metrics is None else len(metrics)):
        actual.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step(*([] if metrics is None else [metrics[step]]))
    return actual


def test_cosine_rises_peaks_at_one_and_ends_at_zero():
    factors = [cosine_with_warmup(step, 10, 100) for step in range(101)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert max(factors) == 1
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0)


def test_the_default_schedule_is_that_cosine():
    expected = [0.3 * cosine_with_warmup(step, 20, TOTAL) for step in range(TOTAL)]
    assert rates(UNetSettings(lr=0.3, warmup=0.2)) == pytest.approx(expected)


def test_restarts_double_their_cycles_and_fill_the_budget():
    # 100 steps, 3 cycles: ceil(100/7) = 15, 30, 60 steps, the last cut by the budget.
    actual = rates(UNetSettings(lr=0.3, schedule="cosine_restarts", cycles=3))
    expected = []
    for length in (15, 30, 60):
        expected += [0.3 * 0.5 * (1 + math.cos(math.pi * step / length)) for step in range(length)]
    assert actual == pytest.approx(expected[:TOTAL])


def test_one_cycle_rises_to_lr_and_falls_to_almost_nothing():
    actual = rates(UNetSettings(lr=0.3, schedule="one_cycle", warmup=0.3))
    # torch's cosine form, from lr/25 up in 30 % of the steps, down to lr/25/10,000.
    up = [0.012 + (0.3 - 0.012) * 0.5 * (1 - math.cos(math.pi * step / 29)) for step in range(30)]
    down = [1.2e-6 + (0.3 - 1.2e-6) * 0.5 * (1 + math.cos(math.pi * step / 70)) for step in range(1, 71)]
    assert actual == pytest.approx(up + down)


def test_plateau_falls_to_a_tenth_after_more_than_patience_evaluations_without_a_better_one():
    metrics = [0.1, 0.2, 0.2, 0.19, 0.2, 0.2, 0.2]
    actual = rates(UNetSettings(lr=0.3, schedule="plateau", lr_patience=2), metrics)
    # The best is the second; three without a better one follow; then lr falls.
    assert actual == pytest.approx([0.3] * 5 + [0.03] * 2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # One step on w = 1 with gradient 2, lr 0.1, weight decay 0.5.
        ("sgd", 1 - 0.1 * 1.9 * (2 + 0.5)),  # Nesterov's first step: gradient · (1 + momentum)
        ("adam", 1 - 0.1),  # the first step is lr · sign of the gradient
        ("adamw", 1 - 0.1 * 0.5 - 0.1),  # decay apart from it
    ],
)
def test_first_steps_of_the_optimisers(name, expected):
    weight = torch.nn.Parameter(torch.ones(1, 1))
    optimizer = make_optimizer(UNetSettings(optimizer=name, lr=0.1, wd=0.5), [{"params": [weight]}])
    weight.grad = torch.full((1, 1), 2.0)
    optimizer.step()
    assert weight.item() == pytest.approx(expected, abs=1e-6)


def test_norms_and_biases_have_no_weight_decay_and_all_other_parameters_do():
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.GroupNorm(2, 4), torch.nn.Linear(4, 2)
    )
    groups = make_optimizer(UNetSettings(wd=0.3), [{"params": list(network.parameters())}]).param_groups
    decay = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    decayed = {"0.weight", "3.weight"}
    expected = {id(value): 0.3 if name in decayed else 0.0 for name, value in network.named_parameters()}
    assert decay == expected

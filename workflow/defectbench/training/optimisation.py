"""Optimisers and learning-rate schedules of torch."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import lr_scheduler

from defectbench.config.train import TrainSettings

ParameterGroup = dict[str, Any]
"""Parameters under ``params``, with settings of the optimiser that are theirs, e.g. ``lr``."""
PLATEAU_FACTOR = 0.1
MOMENTUM = 0.9


def make_optimizer(settings: TrainSettings, groups: Iterable[ParameterGroup]) -> torch.optim.Optimizer:
    """The optimiser of the settings for ``groups`` of parameters; only AdamW decouples weight decay from the gradient.

    Parameters of one dimension, biases and the scales of norms, have no weight decay.
    """
    common = {"lr": settings.lr, "weight_decay": settings.wd}
    parameters = [part for group in groups for part in split_by_decay(group)]
    match settings.optimizer:
        case "adamw":
            return torch.optim.AdamW(parameters, **common)
        case "adam":
            return torch.optim.Adam(parameters, **common)
        case "sgd":
            return torch.optim.SGD(parameters, momentum=MOMENTUM, nesterov=True, **common)
    raise ValueError(f"unknown optimiser {settings.optimizer!r}")


def split_by_decay(group: ParameterGroup) -> list[ParameterGroup]:
    """``group`` in two: parameters with weight decay, then those without; without empty ones."""
    decayed = [parameter for parameter in group["params"] if parameter.ndim > 1]
    plain = [parameter for parameter in group["params"] if parameter.ndim <= 1]
    parts: list[ParameterGroup] = [group | {"params": decayed}, group | {"params": plain, "weight_decay": 0.0}]
    return [part for part in parts if part["params"]]


def make_schedule(
    settings: TrainSettings, optimizer: torch.optim.Optimizer, total: int
) -> lr_scheduler.LRScheduler | lr_scheduler.ReduceLROnPlateau:
    """The learning-rate schedule over ``total`` steps; ReduceLROnPlateau steps by evaluation, all others by step.

    - cosine: :func:`cosine_with_warmup`.
    - cosine_restarts: half cosines from lr to 0, each twice as long as the one before; the last ends with the budget
      (I. Loshchilov and F. Hutter, SGDR, ICLR 2017).
    - one_cycle: up to lr in the share ``warmup`` of the steps, then down, momentum the other way (L. N. Smith and
      N. Topin, Super-convergence, 2018).
    - plateau: a tenth whenever the monitor has not risen in more than ``lr_patience`` evaluations.
    """
    match settings.schedule:
        case "cosine":
            warmup = settings.warmup_steps(total)
            return lr_scheduler.LambdaLR(optimizer, lambda step: cosine_with_warmup(step, warmup, total))
        case "cosine_restarts":
            return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=settings.restart_steps(total), T_mult=2)
        case "one_cycle":
            return lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=total, pct_start=settings.warmup)
        case "plateau":
            # eps 0: by default torch skips changes smaller than 1e-8.
            return lr_scheduler.ReduceLROnPlateau(optimizer, "max", PLATEAU_FACTOR, settings.lr_patience, eps=0)
    raise ValueError(f"unknown schedule {settings.schedule!r}")


def cosine_with_warmup(step: int, warmup: int, total: int) -> float:
    """Factor on the learning rate: rises linearly over ``warmup`` steps, then falls as half a cosine to 0.

    I. Loshchilov and F. Hutter, SGDR, ICLR 2017.
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))

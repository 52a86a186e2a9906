"""What shows that a training has failed, and what to change; without torch, for the reports too."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

_SCRATCH_LR = 1e-3
"""Learns from random weights at small budgets: docs/losses.md."""


def find_problems(history: pd.DataFrame, monitor: str, settings: Mapping[str, Any]) -> list[str]:
    """Sentences on a training that found nothing, or that ended below its starting point; none if it did neither.

    ``history`` has a row per evaluation with the columns step and ``monitor``, the metric that chose the weights; step
    0, if it is there, is before training.
    """
    is_trained = history["step"] > 0
    # dice_all is not 0 where nothing is found.
    found = "val_iou_fixed" if "val_iou_fixed" in history else monitor
    if not history.loc[is_trained, found].max() > 0:
        return [f"{found} was 0 in every evaluation of the training. {advise(settings)}"]
    # A network that finds nothing yet is no starting point, though clean images may score.
    starts = ~is_trained & (history[found] > 0)
    best, start = history.loc[is_trained, monitor].max(), history.loc[starts, monitor].max()
    if best < start:
        return [
            f"the training made the network worse: {monitor} was {start:.3f} before it and {best:.3f} at its best. "
            f"To change: a lower lr (now {settings['lr']:g}), a longer warm-up"
        ]
    return []


def advise(settings: Mapping[str, Any]) -> str:
    """What to change in the ``settings`` of a model that predicts nothing."""
    if settings.get("tune") == "none" or "lr" not in settings:
        return "To change: other prompts or phrases, or a fine-tuned model"
    lr, from_scratch = settings["lr"], "none" in (settings.get("encoder_weights"), settings.get("weights"))
    faster = f"lr: {_SCRATCH_LR:g}" if from_scratch and lr < _SCRATCH_LR else "another lr"
    changes = ["a larger budget (images_seen)", f"{faster} (now {lr:g})"]
    if settings.get("sampler") == "shuffle":
        changes.append("sampler: balanced")
    if settings.get("loss", "dice_focal") != "dice_focal":
        changes.append("loss: dice_focal")
    if from_scratch:
        changes.append("pretrained weights")
    return f"To change: {', '.join(changes)}"

"""Small operations on masks that pictures need."""

import numpy as np

from defectbench.metrics.counts import confusion, dice


def union_of_classes(masks: np.ndarray) -> np.ndarray:
    """Pixels (H, W) bool that are in any of ``masks`` (C, H, W)."""
    return np.logical_or.reduce(masks)


def mask_dice(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Dice of two masks (H, W) bool."""
    return float(dice(*map(np.asarray, confusion(truth, prediction))))

"""Random masks with everything that makes outlines difficult."""

import cv2
import numpy as np


def blobs(seed: int, n_classes: int = 2, height: int = 47, width: int = 83) -> np.ndarray:
    """Random ellipses with holes, islands in holes, one-pixel-wide lines and single pixels, at the borders too."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((n_classes, height, width), np.uint8)
    for mask in masks:
        for value in (1, 1, 0, 0, 1, 0):
            centre, axes = rng.integers(0, (width, height)).tolist(), rng.integers(1, 18, 2).tolist()
            cv2.ellipse(mask, centre, axes, float(rng.integers(180)), 0, 360, value, -1)
        for _ in range(2):
            start, end = (rng.integers(0, (width, height)).tolist() for _ in range(2))
            cv2.line(mask, start, end, 1)
        mask[rng.integers(0, height, 9), rng.integers(0, width, 9)] ^= 1
    return masks

"""Marks in pictures on pixels that nobody decided."""

import numpy as np

DARK, LIGHT = 70, 170


def mark_ignored(image: np.ndarray, ignored: np.ndarray | None) -> np.ndarray:
    """``image``, (H, W) or (H, W, 3) uint8, with grey stripes on the pixels of ``ignored``, (H, W) bool: a copy.

    The image itself if the dataset marks none: None. Of three stripes one is dark, one light, and one shows the image:
    they are seen on any metal. They are wider in large images, so that they are still there when these are made small.
    """
    if ignored is None:
        return image
    width = max(4, max(ignored.shape) // 200)
    rows, columns = (np.arange(n, dtype=np.uint16) for n in ignored.shape)
    stripe = np.add.outer(rows, columns) // width % 3
    marked = image.copy()
    marked[ignored & (stripe == 0)] = DARK
    marked[ignored & (stripe == 1)] = LIGHT
    return marked

"""Tiled prediction: an image is cut into overlapping tiles, and their maps are blended into one."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from defectbench.config.train import TrainSettings
from defectbench.data.tiles import Size, Window, tile_origins


@dataclass(frozen=True)
class Tiling:
    """Tiles of ``size``, neighbours overlapping by at least ``overlap`` pixels, the last aligned to the edge.

    Logits are blended, not probabilities: the stored map is one of logits, and a confident tile stays confident.
    A tile's weight falls off linearly to its edges along both axes, so that a map has no steps at the seams.
    Weights add up to 1 in every pixel: where there is only one tile, the result is exactly that tile's.
    """

    size: Size
    overlap: int

    @classmethod
    def of(cls, settings: TrainSettings) -> Self | None:
        """Tiles of a network with ``settings``; None if it predicts whole images."""
        return cls(settings.crop_size, settings.overlap) if settings.prediction == "tiles" else None

    def apply(self, height: int, width: int, predict: Callable[[Window], np.ndarray]) -> np.ndarray:
        """Logits (n_maps, height, width), float32, of an image.

        ``predict`` gives the logits (n_maps, h, w) of a tile by its rows and columns; a side shorter than a tile is
        taken whole.
        """
        sides = zip((height, width), self.size, strict=True)
        tiles = itertools.product(*(axis_weights(length, tile, self.overlap) for length, tile in sides))
        stitched: np.ndarray | None = None
        for (rows, row_weights), (columns, column_weights) in tiles:
            logits = predict((rows, columns))
            if stitched is None:
                # In float64 the sum of weighted equal logits rounds to that logit.
                stitched = np.zeros((len(logits), height, width))
            stitched[:, rows, columns] += logits * np.outer(row_weights, column_weights)
        assert stitched is not None  # every image has a tile
        return stitched.astype(np.float32)


def axis_weights(length: int, tile: int, overlap: int) -> list[tuple[slice, np.ndarray]]:
    """Tiles along one axis: the pixels of each, and its weights there (float64, above 0, at most 1)."""
    starts, tile = tile_origins(length, tile, tile - overlap), min(tile, length)
    slices = [slice(start, start + tile) for start in starts]
    # Distance to the nearer edge of the tile, the outermost pixel counting 1.
    ramp = np.minimum(np.arange(1, tile + 1), np.arange(tile, 0, -1)).astype(np.float64)
    total = np.zeros(length)
    for part in slices:
        total[part] += ramp
    return [(part, ramp / total[part]) for part in slices]

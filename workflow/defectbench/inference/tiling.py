"""Tiled prediction: an image is cut into overlapping tiles, and their maps are blended into one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from defectbench.config.train import TrainSettings
from defectbench.data.tiles import Size, Window, tile_origins
from defectbench.metrics.codes import codes_from_logits


@dataclass(frozen=True)
class Tiling:
    """Tiles of ``size``, neighbours overlapping by at least ``overlap`` pixels, the last aligned to the edge.

    Along a side of the tile that is not longer than ``overlap``, by at least half of that side.

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

    def codes(self, height: int, width: int, predict: Callable[[Window], np.ndarray]) -> np.ndarray:
        """Codes (n_maps, height, width), uint16, of an image; ``predict`` as for :meth:`bands`."""
        codes: np.ndarray | None = None
        for rows, logits in self.bands(height, width, predict):
            if codes is None:
                codes = np.empty((len(logits), height, width), np.uint16)
            codes[:, rows] = codes_from_logits(logits)
        assert codes is not None  # every image has a tile
        return codes

    def bands(
        self, height: int, width: int, predict: Callable[[Window], np.ndarray]
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield rows of an image, from the top down, with their logits (n_maps, rows, width), float32.

        ``predict`` gives the logits (n_maps, h, w) of a tile by its rows and columns; a side shorter than a tile is
        taken whole. Never more rows than a tile has are in memory.
        """
        vertical = axis_weights(height, self.size[0], self.overlap)
        horizontal = axis_weights(width, self.size[1], self.overlap)
        ends = [rows.start for rows, _ in vertical[1:]] + [height]
        rest: np.ndarray | None = None
        for (rows, row_weights), end in zip(vertical, ends, strict=True):
            band: np.ndarray | None = None
            for columns, column_weights in horizontal:
                logits = predict((rows, columns))
                if band is None:
                    # In float64 the sum of weighted equal logits rounds to that logit.
                    band = np.zeros((len(logits), rows.stop - rows.start, width))
                    if rest is not None:
                        band[:, : rest.shape[1]] = rest
                band[:, :, columns] += logits * np.outer(row_weights, column_weights)
            assert band is not None
            done = end - rows.start  # the next tiles begin there
            yield slice(rows.start, end), band[:, :done].astype(np.float32)
            rest = band[:, done:]


def axis_weights(length: int, tile: int, overlap: int) -> list[tuple[slice, np.ndarray]]:
    """Tiles along one axis: the pixels of each, and its weights there (float64, above 0, at most 1)."""
    shared = overlap if overlap < tile else tile // 2
    starts, tile = tile_origins(length, tile, tile - shared), min(tile, length)
    slices = [slice(start, start + tile) for start in starts]
    # Distance to the nearer edge of the tile, the outermost pixel counting 1.
    ramp = np.minimum(np.arange(1, tile + 1), np.arange(tile, 0, -1)).astype(np.float64)
    total = np.zeros(length)
    for part in slices:
        total[part] += ramp
    return [(part, ramp / total[part]) for part in slices]

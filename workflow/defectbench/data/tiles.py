"""Tiles: their places on an image, and their selection for a training."""

import hashlib
from collections.abc import Collection

from defectbench.data.packing import MaskPack, Window
from defectbench.script import UserError

Size = tuple[int, int]
"""Height and width, pixels."""


class TileError(UserError):
    """No tiles to train on."""


def tile_origins(length: int, tile: int, stride: int) -> list[int]:
    """Where tiles begin along an axis of ``length`` pixels: every ``stride`` pixels, the last aligned to the edge.

    An axis no longer than ``tile`` has one, at 0. Every pixel is covered if ``stride`` <= ``tile``.
    """
    last = max(0, length - tile)
    return [*range(0, last, stride), last]


def tile_windows(height: int, width: int, tile: Size, stride: int) -> list[Window]:
    """Windows of the tiles of an image, row by row; none is larger than ``tile``, or leaves the image."""
    return [
        (slice(y, min(y + tile[0], height)), slice(x, min(x + tile[1], width)))
        for y in tile_origins(height, tile[0], stride)
        for x in tile_origins(width, tile[1], stride)
    ]


def window_size(window: Window) -> Size:
    """Height and width of a window."""
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def tile_id(image_id: str, y: int, x: int) -> str:
    """Id of the tile whose upper left pixel is (``y``, ``x``)."""
    return f"{image_id}#{y}_{x}"


def source_image_id(tile: str) -> str:
    """Id of the image that the tile with this id was cut from."""
    return tile.rpartition("#")[0]


def choose_tiles(masks: MaskPack, image_ids: Collection[str], empty_share: float, seed: int) -> list[str]:
    """Ids of the tiles of ``image_ids`` for a training: all with a defect, and a share of the empty ones.

    Whether an empty tile is kept depends on ``seed`` and its id alone: the tiles of a subset of images are a
    subset of the tiles, and the tiles of a smaller share are among the tiles of a larger one.

    Raises:
        TileError: if no tile is left, or an image has none in the pack.
    """
    wanted = set(image_ids)
    of_images = {tile: sum(area) > 0 for tile, area in masks.areas().items() if source_image_id(tile) in wanted}
    missing = sorted(wanted - {source_image_id(tile) for tile in of_images})
    if missing:
        raise TileError(f"the pack of tiles has none of {len(missing)} images, such as {missing[0]}: make it again")
    selected = [tile for tile, defective in of_images.items() if defective or _fraction(seed, tile) < empty_share]
    if not selected:
        raise TileError(
            f"none of the {len(of_images)} tiles has a defect, and empty_tiles {empty_share:g} keeps none without: "
            "set a larger empty_tiles"
        )
    return selected


def _fraction(seed: int, tile: str) -> float:
    """Number in [0, 1) drawn from ``seed`` and the tile's id."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {tile}".encode(), digest_size=6).digest()) / 2**48

"""Pixel formats: how many channels an image has, of what type their values are, and how people see them."""

from typing import NamedTuple

import numpy as np

MOST_CHANNELS = 8
"""Channels that images may have."""
DEPTHS = {"uint8": "8-bit", "uint16": "16-bit", "float32": "32-bit float"}
"""Types of values that can be used, and their names."""


DEEP_FORMATS = frozenset(f"{colours} {depth}" for colours in ("grey", "RGB") for depth in ("16-bit", "32-bit float"))
"""Names of grey and RGB images that are scaled, without alpha."""


class PixelFormat(NamedTuple):
    """Values that an image file stores for each pixel."""

    colours: str
    """'grey' or 'RGB', with or without an alpha channel beside it; 'channels' or 'pages' that are neither."""
    samples: int
    """Values of a pixel, alpha included."""
    dtype: str
    """Their type as numpy calls it, e.g. 'uint16'; it need not be one of DEPTHS."""

    @property
    def name(self) -> str:
        """As in a manifest's ``stored_as``: 'grey 16-bit', 'RGB 16-bit with alpha', '5 channels 32-bit float'."""
        depth = DEPTHS.get(self.dtype, self.dtype)
        if self.colours in ("channels", "pages"):
            return f"{self.samples} {self.colours} {depth}"
        with_alpha = self.samples > {"grey": 1, "RGB": 3}[self.colours]
        return f"{self.colours} {depth}{' with alpha' if with_alpha else ''}"


def value_type(stored_as: str) -> np.dtype:
    """Type of the values of images that a manifest calls ``stored_as``: 8-bit unless it says otherwise."""
    return np.dtype(next((dtype for dtype, depth in DEPTHS.items() if f" {depth}" in stored_as), "uint8"))


def is_stack(stored_as: str) -> bool:
    """Whether the channels of images that a manifest calls ``stored_as`` are the pages of their files."""
    return " pages " in stored_as


def count_channels(image: np.ndarray) -> int:
    """Channels of an image (H, W) or (H, W, N)."""
    return 1 if image.ndim == 2 else image.shape[2]


def picture(image: np.ndarray) -> np.ndarray:
    """An image (H, W) or (H, W, N) uint8 for people: of more than three channels the first three, of two the first."""
    if image.ndim == 2 or image.shape[2] == 3:
        return image
    return np.ascontiguousarray(image[:, :, :3] if image.shape[2] > 3 else image[:, :, 0])

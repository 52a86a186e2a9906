"""Resizing and padding of images to a network's input size, and of its maps back to the image's own pixels."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.nn import functional

STRIDE = 32


@dataclass(frozen=True)
class Geometry:
    """Resizing and padding by the setting ``resize``.

    - ``native``: no scaling; padded at the right and bottom edge to a multiple of ``multiple``.
    - ``longest_pad``: scaled, aspect kept, to fit into ``size``, then padded to it.
    - ``squash``: scaled to ``size``, aspect lost.

    Padding repeats the edge, in images and masks alike, so that padded pixels have a true label.
    """

    resize: str
    size: tuple[int, int] | None
    multiple: int = STRIDE

    @classmethod
    def of(cls, img_size: str, resize: str, multiple: int = STRIDE) -> "Geometry":
        """From the settings ``img_size`` ('native', 'SIDE' or 'HEIGHTxWIDTH') and ``resize``.

        The network takes heights and widths that are multiples of ``multiple``.
        """
        if img_size == "native":
            return cls(resize, None, multiple)
        sides = [int(side) for side in img_size.split("x")]
        return cls(resize, (sides[0], sides[-1]), multiple)

    def scaled_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the image's content as the network sees it, padding excluded."""
        if self.size is None:
            return height, width
        if self.resize == "squash":
            return self.size
        scale = min(self.size[0] / height, self.size[1] / width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the network's input for an image of ``height`` × ``width``."""
        height, width = self.size or (height, width)
        return -(-height // self.multiple) * self.multiple, -(-width // self.multiple) * self.multiple

    def apply(self, image: np.ndarray, size: tuple[int, int] | None = None, *, mask: bool = False) -> np.ndarray:
        """Scale and pad ``image`` (H, W) or (H, W, C), uint8.

        ``size`` is a larger input size, for batches of images that differ in size; ``mask`` scales without
        mixing labels. An image that has the input size is returned as it is, not copied.
        """
        height, width = image.shape[:2]
        inner = self.scaled_size(height, width)
        if inner != (height, width):
            image = cv2.resize(image, inner[::-1], interpolation=cv2.INTER_NEAREST) if mask else _scale(image, inner)
        target = size or self.input_size(height, width)
        if inner == target:
            return image
        below, right = target[0] - inner[0], target[1] - inner[1]
        return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)

    def restore(self, maps: np.ndarray, height: int, width: int) -> np.ndarray:
        """Scale ``maps`` (C, h, w), float32, back to the image's own pixels (C, ``height``, ``width``)."""
        inner = self.scaled_size(height, width)
        maps = maps[:, : inner[0], : inner[1]]
        if inner == (height, width):
            return maps
        return np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in maps])


def _scale(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``image`` (H, W) or (H, W, C), uint8, at ``size``: bilinear, antialiased along each side that shrinks.

    The same pixels as torchvision's, which the processors of SAM 2 and SAM 3 use.
    """
    # Copied if it is a read-only view of a pack.
    pixels = np.require(image.reshape(*image.shape[:2], -1), requirements=["C", "W"])
    planes = torch.from_numpy(pixels).permute(2, 0, 1)
    scaled = functional.interpolate(planes[None], size, mode="bilinear", antialias=True)[0]
    return scaled.permute(1, 2, 0).contiguous().numpy().reshape(*size, *image.shape[2:])

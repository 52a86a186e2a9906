"""Images of more than 8 bits, or of channels that are neither grey nor colours: decoded as stored, and drawn."""

from typing import NamedTuple

import cv2
import numpy as np

from defectbench.data.decoders import ImageError
from defectbench.data.images import Header, decode_image, decode_stored, is_grey, is_upright, read_header, turn
from defectbench.data.pixel_formats import DEPTHS, count_channels, is_stack, picture, value_type
from defectbench.data.scaling import to_bytes
from defectbench.data.tiff import STARTS, TiffHeader, decode_pages, decode_samples

_PICTURE_SHARES = (0.1, 99.9)
"""Percentiles of a picture's values between which it is drawn."""
_MOST_LOOKED_AT = 2**20
"""Pixels, evenly spaced, of which the percentiles are taken."""


class Pixels(NamedTuple):
    """What the pixels of a dataset's images are, the same in all of them."""

    dtype: str
    """Type of their values: 'uint8', 'uint16' or 'float32'."""
    channels: int | None
    """Channels that each image has; None: grey or RGB."""
    stacked: bool
    """Whether channels are the pages of a file."""

    @property
    def is_plain(self) -> bool:
        """Whether images are grey or RGB with 8 bits."""
        return self.dtype == "uint8" and self.channels is None and not self.stacked

    @classmethod
    def of_manifest(cls, stored_as: str, channels: int) -> "Pixels":
        """Of a dataset whose images are ``stored_as``, and have at most so many ``channels``."""
        stacked = is_stack(stored_as)
        given = channels not in (1, 3) or stacked or " channels " in stored_as
        return cls(value_type(stored_as).name, channels if given else None, stacked)


def decode_pixels(data: bytes, header: Header, channels: int | None, upright: bool = False) -> np.ndarray:
    """Decode an image file to the values that it stores: (H, W), or (H, W, N) in the file's order of channels.

    Without ``channels`` it must be grey or RGB, and alpha is dropped; with them, it must have so many, alpha included.

    Raises:
        ImageError: if it cannot be decoded, has other channels, values of another kind than DEPTHS, or NaN or infinite
            ones.
    """
    if header.dtype not in DEPTHS:
        known = ", ".join(DEPTHS.values())
        raise ImageError(f"is {header.stored_as}; values can be {known}, unsigned where whole: save it as one of these")
    if channels is None and header.has_channels:
        raise ImageError(f"has {header.stored_as}, neither grey nor RGB: say how many in dataset.channels")
    if (
        header.dtype == "uint8"
        and channels in (None, 3)
        and not (header.has_channels or (channels and _has_alpha(header)))
    ):
        return decode_image(data, header.stored_as.startswith("grey"), upright)
    image = _decode_tiff(data, header) if data[:2] in STARTS else _decode_values(data)
    if channels is None and image.ndim == 3:
        # Of grey with alpha, all three colours are equal.
        image = image[:, :, 0] if header.stored_as.startswith("grey") else image[:, :, :3]
    elif channels is not None:
        image = _without_copies(image, header)
        if count_channels(image) != channels:
            found = count_channels(image)
            raise ImageError(f"is {header.stored_as}, of {found} channels; dataset.channels: {channels}")
    if image.dtype != header.dtype:
        raise ImageError(f"cannot be decoded: {image.dtype} values in an image that says {header.dtype}")
    if image.dtype.kind == "f" and (wrong := image.size - np.count_nonzero(np.isfinite(image))):
        raise ImageError(f"has {wrong:,} values that are no number or infinite: replace them, or leave the image out")
    return turn(image, header.orientation) if upright else np.ascontiguousarray(image)


def _has_alpha(header: Header) -> bool:
    return header.stored_as.endswith("with alpha")


def _decode_tiff(data: bytes, header: Header) -> np.ndarray:
    if is_stack(header.stored_as):
        return decode_pages(data)
    if header.has_channels or _has_alpha(header):
        return decode_samples(data)
    image = _decode_values(data)
    tiff = TiffHeader.read(data)
    return np.iinfo(image.dtype).max - image if tiff is not None and tiff.is_white_zero else image


def _decode_values(data: bytes) -> np.ndarray:
    """Decode to (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, of any depth, as stored."""
    image = decode_stored(data, cv2.IMREAD_UNCHANGED)
    # OpenCV's own conversion to RGB mixes up the values of 16-bit TIFF files.
    orders = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    return image if image.ndim == 2 else cv2.cvtColor(image, orders[image.shape[2]])


def _without_copies(image: np.ndarray, header: Header) -> np.ndarray:
    """``image`` with each stored channel once: grey with alpha is decoded as RGBA."""
    if header.stored_as.startswith("grey") and _has_alpha(header) and count_channels(image) == 4:
        return np.ascontiguousarray(image[:, :, [0, 3]])
    return image


def count_stored_channels(image: np.ndarray, channels: int | None) -> int:
    """Channels that a manifest lists: ``channels`` if they are given, else 1 if all colours are equal, else 3."""
    return channels or (1 if image.ndim == 2 or is_grey(image) else 3)


def fit_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """An image of a dataset of ``channels``: grey ones are repeated in one of RGB, equal colours one grey channel."""
    if channels == 1 and image.ndim == 3:
        return np.ascontiguousarray(image[:, :, 0])
    if channels == 3 and image.ndim == 2:
        return np.repeat(image[:, :, None], 3, axis=2)
    return image


def decode_as(data: bytes, kind: Pixels, channels: int, upright: bool) -> np.ndarray:
    """Decode a new image for a model that was trained on deep images of this ``kind``, with ``channels`` in their pack.

    Raises:
        ImageError: as :func:`decode_pixels`; if the image is of another depth, or has colours where those had none.
    """
    header = read_header(data, kind.stacked)
    if header.dtype in DEPTHS and header.dtype != kind.dtype:
        raise ImageError(f"is {header.stored_as}; the model was trained on images of {DEPTHS[kind.dtype]} values")
    image = decode_pixels(data, header, kind.channels, upright)
    if channels == 1 and image.ndim == 3 and not is_grey(image):
        raise ImageError("has colours; the model was trained on grey images")
    return fit_channels(image, channels)


def decode_picture(data: bytes, stored_as: str, channels: int) -> np.ndarray:
    """Decode an image of a manifest for people: (H, W, 3) RGB uint8.

    Deep ones are stretched between percentiles of their own, channels drawn as by :func:`picture`.
    """
    pixels = Pixels.of_manifest(stored_as, channels)
    upright = is_upright(stored_as)
    if pixels.is_plain:
        return decode_image(data, upright=upright)
    image = decode_pixels(data, read_header(data, pixels.stacked), pixels.channels, upright)
    return fit_channels(picture(stretch(image)), 3)


def stretch(image: np.ndarray) -> np.ndarray:
    """A deep image as uint8, each channel stretched between percentiles of its values; 8-bit ones as they are."""
    if image.dtype == np.uint8:
        return image
    step = max(1, int((image.shape[0] * image.shape[1] / _MOST_LOOKED_AT) ** 0.5))
    low, high = np.percentile(image[::step, ::step], _PICTURE_SHARES, axis=(0, 1)).astype(np.float32)
    return to_bytes(image, low, high)

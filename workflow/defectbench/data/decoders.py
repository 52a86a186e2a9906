"""The one way to open image files with Pillow: decoders by name, sizes within a stated bound, one picture a file."""

import io
from pathlib import Path

from PIL import Image

FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
"""Decoders that are tried; Pillow knows others, one of which runs a foreign program."""
MAX_PIXELS = 2**30
"""Largest image, OpenCV's own limit: 32,768 x 32,768, or 12,000 x 89,000."""

# Pillow refuses more than 179 million pixels, against bombs from the web: a line-scan camera's images have more.
Image.MAX_IMAGE_PIXELS = None


class ImageError(Exception):
    """A file without an image that can be used."""


def open_image(file: Path | bytes, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """Open an image file, or the bytes of one, by its header; its pixels are decoded later, by :func:`load_pixels`.

    Raises:
        ImageError: if it is none of ``formats``, has more than MAX_PIXELS, or its header is damaged.
    """
    try:
        image = Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=formats)
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise ImageError(f"cannot be read as {', '.join(formats)}: {_reason(error)}") from None
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(f"has {image.height} x {image.width} pixels; {MAX_PIXELS:,} are the most that can be read")
    return image


def load_pixels(image: Image.Image) -> Image.Image:
    """Decode the pixels of an opened image, in place.

    Raises:
        ImageError: if they are damaged or cut short.
    """
    try:
        image.load()
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise ImageError(f"cannot be decoded: {_reason(error)}") from None
    return image


def count_frames(image: Image.Image) -> int:
    """Pictures in the file of an opened image: pages of a TIFF, frames of an animation.

    The further pictures of a camera's JPEG are not counted: they are views of the first, such as a preview.
    """
    return 1 if image.format in ("JPEG", "MPO") else int(getattr(image, "n_frames", 1))


def _reason(error: Exception) -> str:
    return str(error).split(": <_io")[0] or type(error).__name__

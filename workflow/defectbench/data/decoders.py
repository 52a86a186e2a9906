"""The one way to open image files: decoders by name, and work bounded by the bytes and pixels of a file."""

import io
import re
from pathlib import Path
from typing import Any

from PIL import Image, TiffImagePlugin

FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
"""Decoders that are tried; Pillow knows others, one of which runs a foreign program."""
MAX_PIXELS = 2**30
"""Largest image, OpenCV's own limit: 32,768 x 32,768, or 12,000 x 89,000."""
MAX_SCANS = 100
"""Passes of a progressive JPEG; encoders write about ten, and each works on all pixels, however few its bytes."""
MAX_FRAMES = 100
"""Frames up to which those of a file are counted: a chain of pages takes time that grows with its square."""

# Pillow refuses more than 179 million pixels, against bombs from the web: a line-scan camera's images have more.
Image.MAX_IMAGE_PIXELS = None

# First bytes of FORMATS. OpenCV chooses its decoder by them too, among more of them.
_STARTS = (b"BM", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"RIFF")
# Pixels that a byte can hold: eight of one bit, packed 1,032 times; four blocks of 8 x 8, of two bits each.
_DENSITY = {"PNG": 8 * 1032, "JPEG": 4 * 64, "MPO": 4 * 64}
_PROGRESSIVE_DENSITY = 8 * 64
_HEADER = 2**12  # bytes, not counted
_TILE_SIZE = (322, 323)  # tags of TIFF
_SMALL_TILE = 2**22  # pixels
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_END, _SCAN = 0xD9, 0xDA


class ImageError(Exception):
    """A file without an image that can be used."""


def open_image(file: Path | bytes, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """Open an image file, or the bytes of one, by its header; its pixels are decoded later, by :func:`load_pixels`.

    Raises:
        ImageError: if it is none of ``formats``, has more than MAX_PIXELS or more than its bytes can hold, or its
            header is damaged.
    """
    try:
        image = Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=formats)
        n_bytes = len(file) if isinstance(file, bytes) else file.stat().st_size
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise ImageError(f"cannot be read as {', '.join(formats)}: {_reason(error)}") from None
    n_pixels = image.width * image.height
    if n_pixels > MAX_PIXELS:
        raise ImageError(f"has {image.height} x {image.width} pixels; {MAX_PIXELS:,} are the most that can be read")
    density = _PROGRESSIVE_DENSITY if image.info.get("progressive") else _DENSITY.get(str(image.format))
    if density is not None and n_pixels > density * (n_bytes + _HEADER):
        raise ImageError(f"is cut short: {n_bytes:,} bytes cannot hold {image.height} x {image.width} pixels")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        width, height = (image.tag_v2.get(tag, 0) for tag in _TILE_SIZE)
        if width * height > max(4 * n_pixels, _SMALL_TILE):
            raise ImageError(f"has tiles of {height} x {width} pixels, far larger than the image: save it anew")
    return image


def load_pixels(image: Image.Image) -> Image.Image:
    """Decode the pixels of an opened image, in place.

    Raises:
        ImageError: if they are damaged or cut short, or take too many passes.
    """
    try:
        if image.format in ("JPEG", "MPO"):
            file: Any = vars(image)["fp"]
            file.seek(0)
            check_scans(file.read())
        image.load()
    except ImageError:
        raise
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise ImageError(f"cannot be decoded: {_reason(error)}") from None
    return image


def check_start(data: bytes) -> None:
    """Refuse a file that is none of FORMATS by its first bytes, before OpenCV chooses a decoder.

    Raises:
        ImageError: if it is none.
    """
    if not data.startswith(_STARTS):
        raise ImageError(f"cannot be decoded: it does not begin as {', '.join(FORMATS)} do")


def check_scans(data: bytes) -> None:
    """Refuse a JPEG file of more than MAX_SCANS passes.

    Raises:
        ImageError: if it has more.
    """
    n_scans, components, progressive = 0, b"", False
    marker = _MARKER.search(data, 2)
    while marker and data[marker.start() + 1] != _END:
        kind, start = data[marker.start() + 1], marker.end()
        if kind in _FRAMES:
            components, progressive = data[start + 7 : start + 8], kind in _PROGRESSIVE
        if kind == _SCAN:
            n_scans += 1
            if not progressive and data[start + 2 : start + 3] == components:
                return  # all of the image in one pass, as most files are
            if n_scans > MAX_SCANS:
                raise ImageError(f"has more than {MAX_SCANS} scans; save it anew")
        marker = _MARKER.search(data, start + int.from_bytes(data[start : start + 2], "big"))


def count_frames(image: Image.Image) -> int:
    """Pictures in the file of an opened image: pages of a TIFF, frames of an animation; at most MAX_FRAMES.

    The further pictures of a camera's JPEG are not counted: they are views of the first, such as a preview.

    Raises:
        ImageError: if a page is damaged.
    """
    if image.format in ("JPEG", "MPO") or not getattr(image, "is_animated", False):
        return 1
    if image.format != "TIFF":
        return min(int(getattr(image, "n_frames", 1)), MAX_FRAMES)
    n_frames = 1
    try:
        while n_frames < MAX_FRAMES:
            image.seek(n_frames)
            n_frames += 1
    except EOFError:
        pass
    except Exception as error:  # as in open_image
        raise ImageError(f"has a page that cannot be read: {_reason(error)}") from None
    image.seek(0)
    return n_frames


def _reason(error: Exception) -> str:
    return re.sub(r":? <_io\.[^>]*>", "", str(error)) or type(error).__name__

"""Image files: strict decoding, and streaming over many of them."""

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2
import numpy as np
from PIL import ExifTags, Image

# Stored pixels as they are: a rotation flag in the file would turn the image away from its mask.
_STORED = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
_MODES = {
    "1": "black and white",
    "L": "grey 8-bit",
    "LA": "grey 8-bit with alpha",
    "RGB": "RGB 8-bit",
    "RGBA": "RGB 8-bit with alpha",
    "P": "palette",
    "PA": "palette with alpha",
}
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


T = TypeVar("T")
R = TypeVar("R")


class ImageError(Exception):
    """A file without a complete 8-bit image."""


def decode_image(data: bytes, grey: bool = False) -> np.ndarray:
    """Decode the bytes of an image file to (H, W, 3) RGB uint8; grey and palette images are expanded, alpha dropped.

    With ``grey``, for files that :func:`stored_as` calls grey, to (H, W): a third of the memory and faster.

    Raises:
        ImageError: if the bytes are no image, the image is cut short or damaged, or it is not 8-bit.
    """
    flags = _STORED | (cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if image is None:
        raise ImageError("cannot be decoded: truncated, damaged or not an image")
    # Some versions of OpenCV fill the missing part of a JPEG with grey. A complete JPEG ends with its end marker,
    # or has other data after it: then Pillow, slower but strict, decides.
    if data.startswith(_JPEG_START) and not data.endswith(_JPEG_END):
        _check_whole(data)
    if image.dtype != np.uint8:
        raise ImageError(f"has {8 * image.dtype.itemsize} bits per channel; only 8-bit images can be used")
    return image


def _check_whole(data: bytes) -> None:
    try:
        Image.open(io.BytesIO(data)).load()
    except OSError as error:
        raise ImageError(f"cannot be decoded: {error}") from None


def stored_as(data: bytes) -> str:
    """Pixel format of an image file, from its header alone: 'grey 8-bit', 'RGB 8-bit, rotated by EXIF', ...

    The rotation is one that viewers apply; :func:`decode_image` does not.
    """
    try:
        image = Image.open(io.BytesIO(data))
        # The method of the base class: the one of PNG files decodes the whole image to look after its pixels.
        orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except (OSError, SyntaxError, ValueError):
        return "unknown to Pillow"
    return _MODES.get(image.mode, image.mode) + (", rotated by EXIF" if orientation not in (0, 1) else "")


def is_grey(image: np.ndarray) -> bool:
    """Whether all three channels of ``image``, (H, W, 3), are equal."""
    # Half the time of comparing strided channels.
    first = cv2.cvtColor(cv2.extractChannel(image, 0), cv2.COLOR_GRAY2RGB)
    return cv2.norm(image, first, cv2.NORM_INF) == 0


def stream(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Apply ``function`` to ``items`` in ``threads`` threads; results are in the order of the items.

    Only a few results wait at any time, so that memory does not grow with the number of items.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

"""Image files: strict decoding, and streaming over many of them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from PIL import ExifTags, Image

from defectbench.data.decoders import ImageError, check_scans, check_start, count_frames, load_pixels, open_image
from defectbench.data.pixel_formats import PixelFormat
from defectbench.data.tiff import TiffHeader

# Stored pixels as they are: whether a rotation flag in the file is followed is decided elsewhere.
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
_TIFF_STARTS = (b"II", b"MM")
_PNG_START, _PNG_DEPTH, _PNG_COLOURS = b"\x89PNG\r\n\x1a\n", 24, 25  # bytes of its first chunk
_DEEP_PNG = {0: ("grey", 1), 2: ("RGB", 3), 4: ("grey", 2), 6: ("RGB", 4)}
QUARTER_TURNS = (5, 6, 7, 8)
"""EXIF orientations of pictures whose height, as viewers show them, is the stored width."""
UPRIGHT = ", turned upright by EXIF"
"""End of a manifest's ``stored_as`` of an image that is used as viewers show it."""
ROTATED = ", rotated by EXIF"
"""End of that of an image that viewers turn, but that is used as stored."""
_INVERSE = {6: 8, 8: 6}
"""EXIF orientation -> the one that undoes it, where it is another."""
LARGE = 2**25
"""Pixels above which images are worked on one at a time: several at once, as of a line scan, would fill the memory."""
_BAND = 256  # rows compared at a time


T = TypeVar("T")
R = TypeVar("R")


class Header(NamedTuple):
    """What the header of an image file says."""

    stored_as: str
    """Pixel format: 'grey 8-bit', 'RGB 8-bit with alpha', ..."""
    orientation: int
    """1 if the picture is stored upright, 2 ... 8 if viewers turn or mirror it: EXIF's numbers."""
    size: tuple[int, int]
    """Height and width as stored."""
    turned_by_decoders: bool
    """Whether decoders turn it, whatever their flags."""
    dtype: str = "uint8"
    """Type of its values as numpy calls it."""
    has_channels: bool = False
    """Whether it has channels that are neither grey nor colours, alpha aside."""


def read_header(data: bytes, stacked: bool = False) -> Header:
    """Read the header of an image file, without its pixels; the pages of TIFF files are channels if ``stacked``.

    Raises:
        ImageError: if the file is no image, has several pages or frames, or more pixels than can be read.
    """
    tiff = TiffHeader.read(data) if data[:2] in _TIFF_STARTS else None
    if tiff is not None and (stacked or not tiff.is_plain):
        return _special_header(tiff, stacked)
    image = open_image(data)
    if (frames := count_frames(image)) > 1:
        raise ImageError(f"has {frames} pages or frames; only images of one can be used: save each as a file")
    # The method of the base class: the one of PNG files decodes the whole image to look after its pixels.
    orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    if orientation not in range(2, 9):
        orientation = 1
    is_tiff = image.format == "TIFF"
    size = (image.width, image.height) if is_tiff and orientation in QUARTER_TURNS else (image.height, image.width)
    if data.startswith(_PNG_START) and data[_PNG_DEPTH] == 16:
        pixels = PixelFormat(*_DEEP_PNG[data[_PNG_COLOURS]], "uint16")
        return Header(pixels.name, orientation, size, is_tiff, pixels.dtype)
    return Header(_MODES.get(image.mode, image.mode), orientation, size, is_tiff)


def _special_header(tiff: TiffHeader, stacked: bool) -> Header:
    """The header of a TIFF file that is not plain, or whose pages are channels."""
    if tiff.n_pages > 1 and not stacked:
        raise ImageError(
            f"has {tiff.n_pages} pages or frames; only images of one can be used: save each as a file, or, if they are "
            "channels of one image, set dataset.pages: channels"
        )
    if tiff.orientation != 1:
        raise ImageError(f"is turned by its TIFF orientation, {tiff.orientation}: save it upright")
    pixels = PixelFormat("pages", tiff.n_pages, tiff.pixels.dtype) if stacked else tiff.pixels
    if tiff.is_white_zero and (pixels.name != "grey 16-bit"):
        raise ImageError(f"is {pixels.name} and stores white as 0 (MinIsWhite): save it with black as 0")
    has_channels = pixels.colours not in ("grey", "RGB")
    return Header(pixels.name, 1, tiff.size, False, pixels.dtype, has_channels)


def decode_image(data: bytes, grey: bool = False, upright: bool = False) -> np.ndarray:
    """Decode the bytes of an image file to (H, W, 3) RGB uint8; grey and palette images are expanded, alpha dropped.

    With ``grey``, for files whose ``stored_as`` is grey, to (H, W): a third of the memory and faster. With ``upright``
    as viewers show it, else as stored.

    Raises:
        ImageError: if the bytes are no image, the image is cut short or damaged, or it is not 8-bit.
        MemoryError: if there is no memory for it.
    """
    if data[:2] in _TIFF_STARTS and (tiff := TiffHeader.read(data)) is not None and not tiff.is_plain:
        raise ImageError(f"is {tiff.pixels.name}; only grey and RGB images of 8 bits are decoded here")
    image = decode_stored(data, _STORED | (cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB))
    # Some versions of OpenCV fill the missing part of a JPEG with grey. A complete JPEG ends with its end marker,
    # or has other data after it: then Pillow, slower but strict, decides.
    if data.startswith(_JPEG_START) and not data.endswith(_JPEG_END):
        load_pixels(open_image(data))
    if image.dtype != np.uint8:
        raise ImageError(f"has {8 * image.dtype.itemsize} bits per channel; only 8-bit images can be used")
    if upright or data[:2] in _TIFF_STARTS:
        header = read_header(data)
        if upright and not header.turned_by_decoders:
            image = turn(image, header.orientation)
        elif header.turned_by_decoders and not upright:
            image = turn(image, _INVERSE.get(header.orientation, header.orientation))
    return image


def decode_stored(data: bytes, flags: int) -> np.ndarray:
    """Decode the bytes of an image file by OpenCV with its ``flags``.

    Raises:
        ImageError: if the bytes are no image, or the image is cut short or damaged.
        MemoryError: if there is no memory for it.
    """
    check_start(data)
    if data.startswith(_JPEG_START):
        check_scans(data)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:  # no fault of the image
            raise MemoryError(error.err) from None
        raise ImageError(f"cannot be decoded: {error.err}") from None
    if image is None:
        raise ImageError("cannot be decoded: truncated, damaged or not an image")
    return image


def turn(image: np.ndarray, orientation: int) -> np.ndarray:
    """``image``, (H, W) or (H, W, 3), as viewers show it if EXIF says ``orientation``, 1 ... 8."""
    if orientation in QUARTER_TURNS:
        image = image.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(image[::rows, ::columns])


def is_upright(stored_as: str) -> bool:
    """Whether an image of a manifest is used as viewers show it, though it is stored otherwise."""
    return stored_as.endswith(UPRIGHT)


def is_grey(image: np.ndarray) -> bool:
    """Whether all three channels of ``image``, (H, W, 3), are equal."""
    for top in range(0, len(image), _BAND):
        band = image[top : top + _BAND]
        # Half the time of comparing strided channels.
        first = cv2.cvtColor(cv2.extractChannel(band, 0), cv2.COLOR_GRAY2RGB)
        if cv2.norm(band, first, cv2.NORM_INF) != 0:
            return False
    return True


def is_large(path: Path) -> bool:
    """Whether an image file has more than LARGE pixels, by its header; not if it cannot be read."""
    try:
        with open_image(path) as image:
            return image.width * image.height > LARGE
    except (OSError, ImageError):
        return False


def stream(
    function: Callable[[T], R], items: Iterable[T], threads: int, alone: Callable[[T], bool] = lambda _: False
) -> Iterator[R]:
    """Apply ``function`` to ``items`` in ``threads`` threads; results are in the order of the items.

    Only a few results wait at any time, so that memory does not grow with the number of items. Items that are
    ``alone`` wait until all others are done, and the others for them.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[R]] = deque()
        for item in items:
            if alone(item):
                while waiting:
                    yield waiting.popleft().result()
                yield function(item)
                continue
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

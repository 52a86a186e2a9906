"""TIFF files with values or channels that image libraries misread or refuse: 16 bits, floats, 2 or 4 to 8 channels.

OpenCV gives the first of two channels without a word, and Pillow calls 16-bit colours 8-bit. Tags are read by
tifffile, which also decodes what OpenCV cannot.
"""

import io
from typing import NamedTuple, Self

import numpy as np
import tifffile

from defectbench.data.decoders import MAX_PIXELS, ImageError
from defectbench.data.pixel_formats import MOST_CHANNELS, PixelFormat

STARTS = (b"II", b"MM")
_ALPHA = (1, 2)  # values of the tag ExtraSamples
_COMPRESSIONS = (1, 8, 32773, 32946)  # none, deflate, PackBits, deflate: what tifffile decodes by itself
_DENSITY = 1032  # bytes that a byte of deflate can hold, the densest of them
_HEADER = 2**12  # bytes, not counted
_SMALL_TILE = 2**22  # pixels
_GREY, _RGB, _CMYK = (0, 1), 2, 5  # of PhotometricInterpretation; 0: white is 0


class TiffHeader(NamedTuple):
    """What the tags of a TIFF file say."""

    pixels: PixelFormat
    size: tuple[int, int]
    """Height and width as stored."""
    orientation: int
    """1 ... 8, as in EXIF."""
    n_pages: int
    is_white_zero: bool
    """Whether low values are bright."""

    @classmethod
    def read(cls, data: bytes) -> Self | None:
        """Read the tags of the first page; None if they are damaged: then the image cannot be decoded either.

        Raises:
            ImageError: if it has more values than can be read.
        """
        try:
            with tifffile.TiffFile(io.BytesIO(data)) as file:
                page = file.pages.first
                tags = {code: page.tags[code].value for code in (262, 274, 277) if code in page.tags}
                extra = tuple(page.extrasamples or ())
                size, dtype = (page.imagelength, page.imagewidth), page.dtype
                bits, n_pages = page.bitspersample, len(file.pages)
        except Exception:  # tifffile raises many kinds for damaged files
            return None
        samples = int(tags.get(277, 1))
        if size[0] * size[1] * samples * n_pages > MAX_PIXELS:
            raise ImageError(f"has {n_pages} x {size[0]} x {size[1]} x {samples} values; {MAX_PIXELS:,} can be read")
        name = f"{bits}-bit" if dtype is None or 8 * dtype.itemsize != bits else dtype.name
        pixels = PixelFormat(_colours(int(tags.get(262, 1)), samples, extra), samples, name)
        return cls(pixels, size, int(tags.get(274, 1)), n_pages, tags.get(262) == 0)

    @property
    def is_plain(self) -> bool:
        """Whether image libraries read it right: at most 8 bits; grey, a palette, RGB or CMYK, alpha or none."""
        is_byte = self.pixels.dtype in ("uint8", "bool") or self.pixels.dtype in {f"{bits}-bit" for bits in range(1, 8)}
        return is_byte and self.pixels.colours != "channels"


def _colours(photometric: int, samples: int, extra: tuple[int, ...]) -> str:
    """The ``colours`` of a pixel format; palettes, CMYK and others count as RGB: all of them are converted to it."""
    alpha = sum(value in _ALPHA for value in extra)
    if photometric in _GREY:
        return "grey" if samples == 1 + alpha and alpha <= 1 else "channels"
    usual = {_RGB: 3, _CMYK: 4}.get(photometric, samples)
    return "RGB" if samples == usual + alpha and alpha <= 1 else "channels"


def decode_pages(data: bytes) -> np.ndarray:
    """Decode all pages of a TIFF file, each of one grey channel, to (H, W, pages).

    Raises:
        ImageError: if they differ, or cannot be decoded.
    """
    return _decode(data, stacked=True)


def decode_samples(data: bytes) -> np.ndarray:
    """Decode the one page of a TIFF file to (H, W, samples) as stored.

    Raises:
        ImageError: if it cannot be decoded.
    """
    return _decode(data, stacked=False)


def _decode(data: bytes, stacked: bool) -> np.ndarray:
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            if stacked and not 2 <= len(file.pages) <= MOST_CHANNELS:
                raise ImageError(f"has {len(file.pages)} pages; 2 to {MOST_CHANNELS} can be channels")
            pages = list(file.pages) if stacked else [file.pages.first]
            _check_bounds(file.pages.first, len(pages), len(data))
            if len({(page.shape, page.dtype) for page in pages}) > 1:
                raise ImageError("has pages that differ in size or depth: they cannot be channels of one image")
            if any(0 in page.databytecounts for page in pages):
                raise ImageError("cannot be decoded: parts of its pixels are missing")
            planar = file.pages.first.planarconfig == 2
            planes = [_channels_last(page.asarray(), planar) for page in pages]
    except ImageError:
        raise
    except Exception as error:  # tifffile raises many kinds for damaged files
        raise ImageError(f"cannot be decoded: {error}") from None
    if stacked and any(plane.ndim > 2 for plane in planes):
        raise ImageError("has pages of several channels each: save it as one page with all channels")
    return np.stack(planes, axis=-1) if stacked else planes[0]


def _check_bounds(page: tifffile.TiffPage, n_pages: int, n_bytes: int) -> None:
    """Refuse what tifffile cannot decode, and what would take more memory than file and image account for."""
    if page.compression not in _COMPRESSIONS:
        name = tifffile.COMPRESSION(page.compression).name
        raise ImageError(
            f"has channels that are compressed by {name}, which cannot be decoded: save it uncompressed, or compressed "
            "by deflate (zlib)"
        )
    if n_pages * page.nbytes > _DENSITY * (n_bytes + _HEADER):
        raise ImageError(f"is cut short: {n_bytes:,} bytes cannot hold {n_pages * page.nbytes:,} of pixels")
    if page.tilelength * page.tilewidth > max(4 * page.imagelength * page.imagewidth, _SMALL_TILE):
        raise ImageError(f"has tiles of {page.tilelength} x {page.tilewidth} pixels, far larger than the image")


def _channels_last(page: np.ndarray, is_planar: bool) -> np.ndarray:
    """A page (H, W), (H, W, samples) or, if it ``is_planar``, (samples, H, W), with the samples last."""
    return np.ascontiguousarray(page.transpose(1, 2, 0)) if is_planar and page.ndim == 3 else page

"""Reading of mask files by their pixels. Every value counts: what a reading would throw away is refused by name."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image

from defectbench.data.decoders import ImageError, count_frames, load_pixels, open_image
from defectbench.data.preview import preview_list

# Pillow stretches the few values of a shallow grey PNG over 0 ... 255; the labels are the stored values.
_STRETCH = {"L;2": 85, "L;4": 17}
DRAWN = (1, 255, 65535)
"""What programs write for the defect in masks of two values, with 0 for the rest."""
USUAL_THRESHOLD = 127
NOISE = 8
"""Largest value that compression alone leaves on black."""
MOST_COLOURS = 1_000
"""Different colours that are listed of a mask; labels have fewer, pictures far more."""
MOST_VALUES = 2**16
"""The same for values: those of 16 bits."""
_BAND = 512  # rows at a time, so that little memory is needed beside the mask

Colour = tuple[int, int, int]
VOID = 255
"""Value of pixels that nobody decided, in the formats that have such."""


class MaskError(ValueError):
    """A mask that cannot be used."""


def mask_size(path: Path) -> tuple[int, int]:
    """Height and width of a mask file, from its header.

    Raises:
        MaskError: if it cannot be read.
    """
    image = _open(path)
    return image.height, image.width


def check_size(path: Path, height: int, width: int) -> None:
    """Refuse a mask file of another size than its image, before it is decoded: it may be far larger.

    Raises:
        MaskError: if it is, or cannot be read.
    """
    if (size := mask_size(path)) != (height, width):
        raise MaskError(f"mask is {size[0]} x {size[1]}, its image {height} x {width}")


def refuse_undecided(undecided: np.ndarray, what: str) -> None:
    """Refuse a mask with pixels that nobody decided, for instance along a border: (H, W), non-zero = undecided.

    Only the dataset's key ``ignore`` says that they may be left out of everything.

    Raises:
        MaskError: if there are any; ``what`` says how the mask marks them.
    """
    if n_pixels := np.count_nonzero(undecided):
        raise MaskError(
            f"mask has {n_pixels} pixels of {what}: they are neither defect nor background; draw them as one of the "
            f"two, or set ignore: {VOID}, so that they take part in nothing"
        )


def has_colours(path: Path) -> bool:
    """Whether a mask file has a palette or several channels.

    Raises:
        MaskError: if it cannot be read.
    """
    return _open(path).mode in ("P", "PA", "RGB", "RGBA")


def read_binary(path: Path, threshold: int | None) -> np.ndarray:
    """Defect pixels of a mask of two values, or of grey values above ``threshold``: (H, W) bool.

    Raises:
        MaskError: if the mask cannot be read, or if it has values that neither the two nor the threshold explain.
    """
    image, stored_as = _load(path)
    values = _palette_greys(image) if image.mode == "P" else _values(image, stored_as)
    present = _present(values)
    drawn = [value for value in present if value != 0]
    lossy = _is_lossy(image, path)
    if threshold is None:
        if len(drawn) <= 1 and set(drawn) <= {*DRAWN}:
            return values != 0
        if not lossy:
            raise MaskError(
                f"mask has the values {preview_list(present)}; a binary mask has 0 and 1 or 0 and 255: set threshold,"
                " or, if they are classes, mask_kind: index"
            )
    cut = USUAL_THRESHOLD if threshold is None else threshold
    noise = NOISE if lossy and threshold is not None else 0
    if (drawn and noise < max(drawn) <= cut) or min(present) < 0:
        raise MaskError(
            f"mask has the values {preview_list(present)}, none above the threshold of {cut}: all of it would be lost;"
            " set a lower threshold"
        )
    return values > cut


def read_index(path: Path) -> tuple[np.ndarray, list[int]]:
    """Values stored in a mask file, (H, W), palette indices or grey values, never the palette's colours; and which.

    Raises:
        MaskError: if the mask cannot be read, or holds no such values.
    """
    image, stored_as = _load(path)
    _refuse_lossy(image, path)
    values = _values(image, stored_as)
    return values, _present(values)


def read_colours(path: Path, colours: Sequence[Colour]) -> tuple[np.ndarray, list[Colour]]:
    """Where a mask file has each of ``colours``, (C, H, W) uint8, and the other colours that it has, without black.

    A palette is followed.

    Raises:
        MaskError: if the mask cannot be read, or has more than MOST_COLOURS.
    """
    image, _ = _load(path)
    _refuse_lossy(image, path)
    if image.mode in ("I", "F", "CMYK", "LAB", "HSV") or image.mode.startswith("I;16"):
        raise MaskError(f"mask is stored as {image.mode}; colour masks must be RGB or palette images")
    masks = np.zeros((len(colours), image.height, image.width), np.uint8)
    others: set[int] = set()
    for top, rgb in _bands(image, "RGB"):
        band = _pack(rgb)
        known = band == 0
        for mask, colour in zip(masks, colours, strict=True):
            found = band == _pack(np.array(colour, np.uint8))
            mask[top : top + _BAND] = found
            known |= found
        others |= {*np.unique(band[~known])[: MOST_COLOURS + 1].tolist()}
        if len(others) > MOST_COLOURS:
            raise MaskError(f"mask has more than {MOST_COLOURS:,} colours: it is a picture, or was scaled or smoothed")
    return masks, [(code >> 16, code >> 8 & 255, code & 255) for code in sorted(others)]


def _pack(rgb: np.ndarray) -> np.ndarray:
    """Colours, (..., 3) uint8, as one number each: several times faster to compare."""
    wide = rgb.astype(np.uint32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _open(path: Path) -> Image.Image:
    try:
        return open_image(path)
    except ImageError as error:
        raise MaskError(f"mask {error}") from None


def _load(path: Path) -> tuple[Image.Image, str]:
    """The decoded image, and how Pillow says that its pixels are stored."""
    image = _open(path)
    stored_as = str(tile[0].args) if (tile := getattr(image, "tile", None)) else ""
    if (frames := count_frames(image)) > 1:
        raise MaskError(f"mask has {frames} pages, of which only one can be read: save it as one, or as a file a page")
    # Pillow turns a TIFF itself. The method of the base class: the one of PNG files decodes the whole image.
    if image.format != "TIFF" and Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1) not in (0, 1):
        raise MaskError("mask is turned by its EXIF data: save it as it is seen, without them")
    try:
        load_pixels(image)
    except ImageError as error:
        raise MaskError(f"mask cannot be read: {error}") from None
    if ";16" in stored_as and not image.mode.startswith("I"):
        raise MaskError(f"mask has 16 bits in {len(image.getbands())} channels: save it in 8 bits, or in one channel")
    _refuse_transparent(image)
    return image, stored_as


def _refuse_transparent(image: Image.Image) -> None:
    """Refuse a mask with an alpha channel that hides what is drawn; transparent background says nothing new."""
    if image.mode not in ("LA", "PA", "RGBA", "La", "RGBa"):
        return
    hidden, drawn, alphas = 0, False, set[int]()
    for _, pixels in _bands(image, "RGBA"):
        shapes = pixels[..., :3].any(axis=-1)
        hidden += int(np.count_nonzero((pixels[..., 3] < 255) & shapes))
        drawn |= bool(shapes.any())
        alphas |= {*_present(pixels[..., 3])}
    shaped = not drawn and len(alphas) > 1
    if hidden or shaped:
        what = "its shapes in the transparency alone" if shaped else f"{hidden} drawn pixels that are transparent"
        raise MaskError(f"mask has {what}: save it without transparency")


def _is_lossy(image: Image.Image, path: Path) -> bool:
    if image.format == "WEBP":
        with path.open("rb") as file:
            return b"VP8L" not in file.read(64)
    return image.format in ("JPEG", "MPO")


def _refuse_lossy(image: Image.Image, path: Path) -> None:
    if _is_lossy(image, path):
        raise MaskError(
            f"mask is a {image.format}, which changes values a little: only binary masks can be read from it"
        )


def _values(image: Image.Image, stored_as: str) -> np.ndarray:
    """Values stored in a mask, (H, W) integers: palette indices or grey values."""
    if image.mode == "F":
        floats = np.asarray(image)
        if not np.array_equal(floats, np.trunc(floats)) or abs(floats).max(initial=0) >= 2**31:  # NaN is not equal
            raise MaskError("mask has fractions, infinite or missing values: save it as whole numbers")
        return floats.astype(np.int32)
    if image.mode in ("1", "L", "P", "I") or image.mode.startswith("I;16"):
        values = np.asarray(image)
        return values.astype(np.uint8) if image.mode == "1" else values // _STRETCH.get(stored_as, 1)
    if image.mode not in ("LA", "RGB", "RGBA", "PA"):
        raise MaskError(f"mask is stored as {image.mode}; masks must be grey, palette or RGB images")
    values = np.empty((image.height, image.width), np.uint8)
    for top, rgb in _bands(image, "RGB"):
        if (rgb != rgb[..., :1]).any():
            raise MaskError(
                "mask has colours; index and binary masks must be grey or palette images: see mask_kind: colour"
            )
        values[top : top + _BAND] = rgb[..., 0]
    return values


def _bands(image: Image.Image, mode: str) -> Iterator[tuple[int, np.ndarray]]:
    """The first row of each band of an image, and its pixels in another Pillow mode."""
    for top in range(0, image.height, _BAND):
        part = image.crop((0, top, image.width, min(top + _BAND, image.height)))
        yield top, np.asarray(part.convert(mode))


def _palette_greys(image: Image.Image) -> np.ndarray:
    """Grey values of a palette mask; the indices, if its colours are black for 0 and any other for 1."""
    indices = np.asarray(image)
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette = np.pad(palette, ((0, 256 - len(palette)), (0, 0)))
    present = _present(indices)
    if (palette[present] == palette[present, :1]).all():
        return palette[:, 0][indices]
    if set(present) <= {0, 1} and not palette[0].any():
        return indices
    colours = ", ".join(f"{index} {palette[index].tolist()}" for index in present[:5])
    raise MaskError(f"mask has a palette with the colours {colours}: see mask_kind: index, or colour")


def _present(values: np.ndarray) -> list[int]:
    """The different values of an array, sorted.

    Raises:
        MaskError: if they are more than MOST_VALUES.
    """
    if values.dtype in (np.uint8, np.uint16):
        top = int(np.iinfo(values.dtype).max) + 1
        counts: Any = cv2.calcHist([np.ascontiguousarray(values)], [0], None, [top], [0, top])
        return np.flatnonzero(counts.ravel()).tolist()
    found: set[int] = set()
    for top in range(0, len(values), _BAND):
        found |= {*np.unique(values[top : top + _BAND])[: MOST_VALUES + 1].tolist()}
        if len(found) > MOST_VALUES:
            raise MaskError(f"mask has more than {MOST_VALUES:,} values: they are no labels")
    return sorted(found)


def show_colours(colours: Iterable[Colour]) -> list[str]:
    """Colours as in settings: [red, green, blue]."""
    return [str([*colour]) for colour in colours]

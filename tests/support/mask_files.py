"""Kinds of image files in which programs save masks."""

from collections.abc import Callable

import numpy as np
from PIL import Image


def with_palette(mask: np.ndarray, *colours: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(mask, "L").convert("P")
    image.putdata(mask.ravel().tolist())
    image.putpalette([part for colour in colours for part in colour])
    return image


VOC = ((0, 0, 0), (128, 0, 0), (0, 128, 0))
INDEX_MASKS: dict[str, tuple[str, Callable[[np.ndarray], Image.Image]]] = {
    "grey": (".png", Image.fromarray),
    "bmp": (".bmp", Image.fromarray),
    "tiff": (".tiff", Image.fromarray),
    "palette": (".png", lambda mask: with_palette(mask, *VOC)),
    "white_palette": (".png", lambda mask: with_palette(mask, (255, 255, 255), (0, 0, 0), (9, 9, 9))),
    "rgb": (".png", lambda mask: Image.fromarray(np.dstack([mask] * 3))),
    "rgba": (".png", lambda mask: Image.fromarray(np.dstack([mask] * 3 + [mask * 0 + 255]))),
    "clear_background": (".png", lambda mask: Image.fromarray(np.dstack([mask] * 3 + [(mask > 0) * np.uint8(255)]))),
    "grey_alpha": (".png", lambda mask: Image.fromarray(np.dstack([mask, mask * 0 + 255]), "LA")),
    "16bit": (".png", lambda mask: Image.fromarray(mask.astype(np.uint16))),
    "16bit_tiff": (".tif", lambda mask: Image.fromarray(mask.astype(np.uint16))),
    "32bit": (".tif", lambda mask: Image.fromarray(mask.astype(np.int32))),
    "float": (".tif", lambda mask: Image.fromarray(mask.astype(np.float32))),
}
COLOURS = {"dent": [220, 20, 60], "no": [0, 128, 255]}


def coloured(mask: np.ndarray) -> np.ndarray:
    return np.array([[0, 0, 0], *COLOURS.values()], np.uint8)[mask]


COLOUR_MASKS: dict[str, tuple[str, Callable[[np.ndarray], Image.Image]]] = {
    "rgb": (".png", lambda mask: Image.fromarray(coloured(mask))),
    "bmp": (".bmp", lambda mask: Image.fromarray(coloured(mask))),
    "rgba": (".png", lambda mask: Image.fromarray(coloured(mask)).convert("RGBA")),
    "palette": (".png", lambda mask: with_palette(mask, (0, 0, 0), *(tuple(colour) for colour in COLOURS.values()))),
}
BINARY_MASKS: dict[str, tuple[str, Callable[[np.ndarray], Image.Image]]] = {
    "one": (".png", Image.fromarray),
    "white": (".png", lambda mask: Image.fromarray(mask * 255)),
    "bmp": (".bmp", lambda mask: Image.fromarray(mask * 255)),
    "1bit": (".png", lambda mask: Image.fromarray(mask * 255).convert("1")),
    "1bit_tiff": (".tif", lambda mask: Image.fromarray(mask * 255).convert("1")),
    "white_palette": (".png", lambda mask: with_palette(mask, (0, 0, 0), (255, 255, 255))),
    "turned_palette": (".png", lambda mask: with_palette(1 - mask, (255, 255, 255), (0, 0, 0))),
    "voc_palette": (".png", lambda mask: with_palette(mask, *VOC)),
    "rgb": (".png", lambda mask: Image.fromarray(np.dstack([mask * 255] * 3))),
    "rgba": (".png", lambda mask: Image.fromarray(mask * 255).convert("RGBA")),
    "grey_alpha": (".png", lambda mask: Image.fromarray(mask * 255).convert("LA")),
    "16bit": (".png", lambda mask: Image.fromarray(mask.astype(np.uint16) * 65535)),
    "16bit_one": (".tif", lambda mask: Image.fromarray(mask.astype(np.uint16))),
    "float": (".tif", lambda mask: Image.fromarray(mask.astype(np.float32))),
    "jpeg": (".jpg", lambda mask: Image.fromarray(mask * 255)),
    "webp": (".webp", lambda mask: Image.fromarray(mask * 255).convert("RGB")),
}

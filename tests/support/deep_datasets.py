"""Images of more than 8 bits, or of other channels than grey and RGB, written by other libraries than the reader's."""

import io
from pathlib import Path

import cv2
import numpy as np
import tifffile
from small_datasets import HEIGHT, WIDTH

from defectbench.config.ingest import MaskFolder


def noise(channels: int, dtype: str, seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """Values of every size that ``dtype`` has, (H, W) or (H, W, channels); floats are degrees."""
    rng = np.random.default_rng(seed)
    shape = size if channels == 1 else (*size, channels)
    if np.dtype(dtype).kind == "f":
        return rng.normal(300, 20, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def as_tiff(image: np.ndarray, **options: object) -> bytes:
    """A TIFF file; three channels are RGB unless ``photometric`` says otherwise."""
    file = io.BytesIO()
    colours = "rgb" if image.ndim == 3 and image.shape[2] == 3 else "minisblack"
    options = {"photometric": colours, "planarconfig": "contig" if image.ndim == 3 else None} | options
    tifffile.imwrite(file, image, **options)
    return file.getvalue()


def as_pages(image: np.ndarray) -> bytes:
    """A TIFF file with a page for each channel."""
    file = io.BytesIO()
    tifffile.imwrite(file, np.ascontiguousarray(image.transpose(2, 0, 1)), photometric="minisblack")
    return file.getvalue()


def as_png(image: np.ndarray) -> bytes:
    """A PNG file, of RGB or RGBA where there are channels."""
    swapped = (
        image
        if image.ndim == 2
        else cv2.cvtColor(image, {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[image.shape[2]])
    )
    return cv2.imencode(".png", swapped)[1].tobytes()


def write_deep(root: Path, files: dict[str, bytes], **settings: object) -> MaskFolder:
    """Write image ``files`` by name, each with a mask of one dent, except of every third, which is clean."""
    for index, (name, data) in enumerate(files.items()):
        for folder in ("images", "masks"):
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "images" / name).write_bytes(data)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[4:12, 8:20] = index % 3 != 2
        cv2.imwrite(str((root / "masks" / name).with_suffix(".png")), mask)
    given = {"name": "deep", "format": "mask_folder", "root": root, "classes": {1: "dent"}}
    return MaskFolder(**given | settings)

"""Small datasets that tests write."""

from pathlib import Path

import cv2
import numpy as np

from defectbench.config.ingest import MaskFolder, SeverstalCsv
from defectbench.data.readers.base import Labels
from defectbench.data.rle import decode_coco

HEIGHT, WIDTH = 24, 40


def drawn(labels: Labels, image_id: str) -> np.ndarray:
    """Masks that a reader gives for an image of HEIGHT x WIDTH, (C, HEIGHT, WIDTH) uint8."""
    return np.stack([decode_coco(counts, HEIGHT, WIDTH) for counts in labels.rles(image_id, HEIGHT, WIDTH)])


def write_image(path: Path, seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH), colour: bool = False) -> None:
    """Write noise, grey unless ``colour``, in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, 3) if colour else size
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def write_severstal(root: Path, rows: list[str], n_images: int = 4, **settings: object) -> SeverstalCsv:
    """Write images 0.png, 1.png, ... and a table of ``rows``, for classes 1 to 4."""
    for index in range(n_images):
        write_image(root / "train_images" / f"{index}.png", seed=index)
    (root / "train.csv").write_text("\n".join(["ImageId,ClassId,EncodedPixels", *rows]) + "\n")
    classes = {1: "pitted", 2: "inclusion", 3: "scratch", 4: "patch"}
    return SeverstalCsv(**{"name": "steel", "format": "severstal_csv", "root": root, "classes": classes} | settings)


def write_masks(root: Path, masks: dict[str, np.ndarray], **settings: object) -> MaskFolder:
    """Write ``masks``, grey PNG by stem, and an image for each of them, for classes 1 and 2."""
    for index, (stem, mask) in enumerate(masks.items()):
        write_image(root / "images" / f"{stem}.png", seed=index)
        (root / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(root / "masks" / f"{stem}.png"), mask)
    classes = {1: "dent", 2: "stain"}
    return MaskFolder(**{"name": "parts", "format": "mask_folder", "root": root, "classes": classes} | settings)

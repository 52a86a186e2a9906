"""Synthetic steel strips in Severstal's file layout: a dataset that needs no download.

How often which defects occur, and how large they are, follows a prior fitted to the real labels; their
appearance is painted by `steel_paint`. The numeric libraries are imported where they are used, so that a workflow can
list the images without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from defectbench.files import atomic, write_text

if TYPE_CHECKING:
    import numpy as np

CLASSES = (1, 2, 3, 4)
JPEG_QUALITY = 95


@dataclass(frozen=True)
class AreaPrior:
    """Share of the image that a class covers where present: lognormal (mu, sigma), clipped to [low, high]."""

    mu: float
    sigma: float
    low: float
    high: float


@dataclass(frozen=True)
class SteelPrior:
    """Frequencies, combinations (share of the defective images) and areas of the defects."""

    share_clean: float
    combinations: dict[tuple[int, ...], float]
    area_fraction: dict[int, AreaPrior]


def load_prior(path: str | Path) -> SteelPrior:
    """Read a prior from YAML; a combination is written as its classes joined by '+'."""
    import yaml

    raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    return SteelPrior(
        share_clean=raw["share_clean"],
        combinations={tuple(map(int, str(k).split("+"))): v for k, v in raw["combinations"].items()},
        area_fraction={c: AreaPrior(**v) for c, v in raw["area_fraction"].items()},
    )


def image_names(n: int) -> list[str]:
    """Return the file names of the first `n` images."""
    return [f"steel_{i:05d}.jpg" for i in range(n)]


def steel_strip(
    prior: SteelPrior, *, seed: int, index: int, size: tuple[int, int] = (256, 1600)
) -> tuple[np.ndarray, np.ndarray]:
    """Paint image `index` of the set `seed`: uint8 grey (H, W) and bool masks (4, H, W), class 1 first.

    `size` is (H, W) in pixels. The result depends on the arguments alone, not on the images made before.
    """
    import numpy as np

    from defectbench.data.steel_paint import paint_strip

    rng = np.random.default_rng([seed, index])
    areas = _draw_areas(prior, rng)
    image, by_class = paint_strip(rng, size, areas)
    masks = np.zeros((len(CLASSES), *size), dtype=bool)
    for class_id, mask in by_class.items():
        masks[class_id - 1] = mask
    return image, masks


def write_steel(
    folder: str | Path, prior: SteelPrior, *, n: int, seed: int, size: tuple[int, int] = (256, 1600)
) -> int:
    """Write `train_images/*.jpg` and `train.csv` (rows for defects only) under `folder`; return the image count.

    Images of an earlier, larger set are removed: without a row in the table they would pass for clean.
    """
    from defectbench.data.rle import encode_severstal

    images, names = Path(folder) / "train_images", image_names(n)
    rows = ["ImageId,ClassId,EncodedPixels"]
    for index, name in enumerate(names):
        image, masks = steel_strip(prior, seed=seed, index=index, size=size)
        _write_jpeg(images / name, image)
        rows += [f"{name},{c},{encode_severstal(mask)}" for c, mask in zip(CLASSES, masks, strict=True) if mask.any()]
    for stale in set(images.glob("steel_*.jpg")) - {images / name for name in names}:
        stale.unlink()
    write_text(Path(folder) / "train.csv", "\n".join(rows) + "\n")
    return n


def _draw_areas(prior: SteelPrior, rng: np.random.Generator) -> dict[int, float]:
    """Draw the classes of one image and the share of the image that each covers; empty for a clean one."""
    import numpy as np

    if rng.random() < prior.share_clean:
        return {}
    weights = np.array(list(prior.combinations.values()))
    classes = list(prior.combinations)[rng.choice(len(weights), p=weights / weights.sum())]
    areas = {}
    for class_id in classes:
        area = prior.area_fraction[class_id]
        areas[class_id] = float(np.clip(rng.lognormal(area.mu, area.sigma), area.low, area.high))
    return areas


def _write_jpeg(path: Path, image: np.ndarray) -> None:
    import cv2

    with atomic(path) as temporary:
        if not cv2.imwrite(str(temporary), image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
            raise OSError(f"cannot write {path}")

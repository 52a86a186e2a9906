"""Predictions of images without labels: pictures for people, masks and tables for other tools."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from defectbench.config.predict_images import image_files
from defectbench.data.decoders import ImageError
from defectbench.data.deep_images import Pixels, decode_as
from defectbench.data.images import decode_image, read_header
from defectbench.data.manifest import Manifest
from defectbench.data.rle import encode_coco
from defectbench.evaluation.gate import image_score
from defectbench.files import atomic
from defectbench.metrics.codes import probabilities_from_codes
from defectbench.reporting import overlay
from defectbench.script import UserError
from defectbench.walk import IMAGE_SUFFIXES, walk


class NewImagesError(UserError):
    """A folder that cannot be predicted."""


def find_images(folder: Path) -> list[str]:
    """Ids of all images below ``folder``: their paths there, with '/' and suffix, sorted.

    Raises:
        NewImagesError: if there are none.
    """
    ids = [path.relative_to(folder).as_posix() for path in image_files(folder)]
    if not ids:
        raise NewImagesError(f"{folder}: no image below it; names must end with {', '.join(sorted(IMAGE_SUFFIXES))}")
    return ids


def passed_over(folder: Path) -> list[str]:
    """Files and folders below ``folder`` that are not predicted, and why: 'PATH (reason)'."""
    found = walk(folder)
    reasons = {passed.path: passed.reason for passed in found.passed_over}
    reasons |= {path: "no image" for path in found.files if path.suffix.lower() not in IMAGE_SUFFIXES}
    return [f"{path.relative_to(folder).as_posix()} ({reason})" for path, reason in sorted(reasons.items())]


def links_out(folder: Path) -> list[str]:
    """Links below ``folder`` that lead out of it; the images there are predicted."""
    return [path.relative_to(folder).as_posix() for path in walk(folder).leaving]


def read_images(
    folder: Path, ids: Sequence[str], upright: bool, kind: Pixels | None = None, channels: int = 3
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (image id, RGB image (H, W, 3) uint8), ``upright``, as viewers show it, or as stored.

    If the model was trained on deep images or on ``channels`` of their own ``kind``, the values are those stored.

    Raises:
        NewImagesError: naming the file that cannot be read, or is of another kind: no image is left out silently.
    """
    for image_id in ids:
        try:
            data = (Path(folder) / image_id).read_bytes()
            if kind is None or kind.is_plain:
                read_header(data)  # refuses files of several pictures
                yield image_id, decode_image(data, upright=upright)
            else:
                yield image_id, decode_as(data, kind, channels, upright)
        except (OSError, ImageError) as error:
            raise NewImagesError(f"{Path(folder) / image_id}: {error}; mend or remove it") from None


@dataclass
class PredictedImages:
    """Predictions so far: run-length codes and areas, no pixels, so that memory stays small."""

    class_names: tuple[str, ...]
    class_values: tuple[int, ...]
    images: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, image_id: str, codes: np.ndarray, masks: np.ndarray) -> None:
        """Add the final masks (C, H, W) bool of one image, and the defect scores of its maps (C, H, W) uint16."""
        height, width = masks.shape[1:]
        area = [int(np.count_nonzero(mask)) for mask in masks]
        rle = [encode_coco(mask) for mask in masks]
        size = {"image_id": image_id, "height": height, "width": width}
        self.images.append(size | {"rle": rle, "area": area})
        for name, plane, pixels in zip(self.class_names, codes, area, strict=True):
            score = float(probabilities_from_codes(np.asarray(image_score(plane))))
            measured = {"defect": pixels > 0, "area": pixels, "area_share": pixels / (height * width), "score": score}
            self.rows.append(size | {"class": name} | measured)

    def manifest(self, name: str) -> Manifest:
        """The predictions as a manifest, so that every label writer can write them."""
        return Manifest(pd.DataFrame(self.images), name, self.class_names, self.class_values, 0)

    def table(self) -> pd.DataFrame:
        """A row per image and class: defect or not, area in pixels and as a share, and the image's defect score."""
        return pd.DataFrame(self.rows)


def write_overlay(path: Path, image: np.ndarray, masks: np.ndarray, class_names: Sequence[str]) -> None:
    """Write the RGB ``image`` (H, W, 3) with the outlines of ``masks`` (C, H, W) bool, at its original size, as PNG."""
    picture = overlay.draw_truth(image, masks, list(overlay.class_colours(class_names).values()))
    write_png(path, picture)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write an RGB image (H, W, 3) uint8, atomically."""
    with atomic(path) as temporary:
        if not cv2.imwrite(str(temporary), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
            raise OSError(f"cannot write {path}")

"""Labels in YOLO's text format for a whole dataset, and the folder of images and labels that ultralytics reads."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import yaml

from defectbench.config.base import MERGED
from defectbench.data.images import stream
from defectbench.data.manifest import Manifest
from defectbench.data.packing import ImagePack
from defectbench.data.writers import yolo_boxes, yolo_polygons
from defectbench.files import write_text

_MERGED_KIND = f"_{MERGED}"
KINDS = ("polygons", f"polygons{_MERGED_KIND}", "boxes", f"boxes{_MERGED_KIND}")
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]


def label_table(manifest: Manifest, kind: str) -> pd.DataFrame:
    """Labels of all images: polygons or boxes around the parts of each class, or of the union of all classes.

    Returns:
        A row per image: image_id, label (the text, empty without a defect), objects (rows of the text) and, for
        polygons, iou of their drawing with the masks; null for boxes.
    """
    rows = []
    for row in manifest.frame.itertuples():
        masks = manifest.masks(row)
        if kind.endswith(_MERGED_KIND):
            masks = masks.max(axis=0, keepdims=True)
        lines, iou = yolo_polygons.label(masks) if kind.startswith("polygons") else (yolo_boxes.label(masks), None)
        rows.append((row.image_id, "".join(lines), len(lines), iou))
    table = pd.DataFrame(rows, columns=["image_id", "label", "objects", "iou"])
    return table.astype({"iou": "float64"})


def write_dataset(
    folder: Path,
    images: ImagePack,
    labels: dict[str, str],
    ids: dict[str, Sequence[str]],
    classes: Sequence[str],
    threads: int = 1,
) -> Path:
    """Write the images and labels of the roles ``ids`` ('train' and 'val') and return the path of their data.yaml.

    Images come from the pack: the same pixels for every family. They are PNG files, since ultralytics reads files,
    turns images with an EXIF rotation and repairs damaged JPEG files in place. Files are numbered in the order of
    ``ids``; an image without defects has an empty label file.
    """
    for role, role_ids in ids.items():
        for kind in ("images", "labels"):
            (folder / kind / role).mkdir(parents=True)
        names = [f"{number:06d}" for number in range(len(role_ids))]
        for name, image_id in zip(names, role_ids, strict=True):
            write_text(folder / "labels" / role / f"{name}.txt", labels[image_id])
        files = [(folder / "images" / role / f"{name}.png", images[i]) for name, i in zip(names, role_ids, strict=True)]
        for _ in stream(_write_png, files, threads):
            pass
    data = {"path": folder.resolve().as_posix(), **{role: f"images/{role}" for role in ids}}
    path = folder / "data.yaml"
    write_text(path, yaml.safe_dump(data | {"names": dict(enumerate(classes))}, sort_keys=False, allow_unicode=True))
    return path


def _write_png(file: tuple[Path, np.ndarray]) -> None:
    path, image = file
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    path.write_bytes(cv2.imencode(".png", image, _PNG)[1].tobytes())

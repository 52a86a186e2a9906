"""Writer of ultralytics' masks for semantic segmentation: class ids as grey values, and ``data.yaml``."""

from pathlib import Path

from defectbench.data.manifest import Manifest
from defectbench.data.packing import IGNORED
from defectbench.data.writers.base import Exported, ExportError, label_names, write_data_yaml, yolo_name
from defectbench.data.writers.masks import write_index_masks


def write(manifest: Manifest, folder: Path) -> list[Exported]:
    """Write ``data.yaml`` and ``masks/*.png``: 0 is the background, 255 is ignored, classes count from 1.

    Ultralytics reads a single class without a name for the background, with the same values.

    Raises:
        ExportError: if classes overlap, or one would have the value of ignored pixels.
    """
    if manifest.has_ignored and len(manifest.class_names) >= IGNORED:
        raise ExportError(f"ultralytics' masks have values for {IGNORED - 1} classes beside ignored pixels; use coco")
    names = manifest.class_names if len(manifest.class_names) == 1 else ("background", *manifest.class_names)
    write_data_yaml(folder, names, masks_dir="masks")
    paths = label_names(manifest, lambda image: yolo_name(image, "masks", ".png"))
    return write_index_masks(manifest, [folder / path for path in paths], range(1, len(manifest.class_names) + 1))

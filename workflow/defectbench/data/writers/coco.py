"""Writer of COCO JSON with compressed run-length codes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from defectbench.data.manifest import Manifest
from defectbench.data.writers.base import Exported
from defectbench.files import write_text


def write(manifest: Manifest, folder: Path) -> list[Exported]:
    """Write ``annotations.json``: per image, one annotation for each class that occurs.

    Category ids are the dataset's own label values, file names the image ids, and areas and boxes
    (x, y, width, height) in pixels. Ignored pixels are a crowd (iscrowd: 1) of the first category, which has to be one.
    """
    images, exported = [], []
    annotations: list[dict[str, Any]] = []
    for number, row in enumerate(manifest.frame.itertuples(), start=1):
        images.append({"id": number, "file_name": row.image_id, "height": row.height, "width": row.width})
        n_classes = int(np.count_nonzero(row.area))
        # The code of ignored pixels follows those of the classes.
        values = (*manifest.class_values, manifest.class_values[0]) if manifest.has_ignored else manifest.class_values
        for place, (value, counts) in enumerate(zip(values, row.rle, strict=True)):
            code = {"size": [row.height, row.width], "counts": counts}
            if area := int(coco.area(code)):
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": value,
                        "segmentation": code | {"counts": counts.decode("ascii")},
                        "area": area,
                        "bbox": coco.toBbox(code).tolist(),
                        "iscrowd": int(place == len(manifest.class_values)),
                    }
                )
        exported.append(Exported(row.image_id, n_classes))
    names = zip(manifest.class_values, manifest.class_names, strict=True)
    categories = [{"id": value, "name": name} for value, name in names]
    content = {"images": images, "categories": categories, "annotations": annotations}
    write_text(folder / "annotations.json", json.dumps(content))
    return exported

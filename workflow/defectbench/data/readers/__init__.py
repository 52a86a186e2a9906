"""One reader per label format; each ends in the same manifest rows."""

from collections.abc import Callable
from typing import Any

from defectbench.data.readers import coco, mask_folder, severstal_csv, supervisely, yolo
from defectbench.data.readers.base import Labels

# Keys as in defectbench.config.ingest.FORMATS; each reader takes the settings of its format.
READERS: dict[str, Callable[[Any], Labels]] = {
    "severstal_csv": severstal_csv.read,
    "mask_folder": mask_folder.read,
    "supervisely": supervisely.read,
    "yolo": yolo.read,
    "coco": coco.read,
}

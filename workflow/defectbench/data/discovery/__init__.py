"""What a folder of somebody's data holds: the formats that it looks like, and what reading it as each of them gives."""

from collections.abc import Callable, Iterator

from defectbench.data.discovery import (
    area_table,
    coco,
    cvat_images,
    cvat_masks,
    label_studio,
    labelme,
    mask_folder,
    mvtec,
    pascal_voc,
    severstal_csv,
    supervisely,
    yolo,
    yolo_semantic,
)
from defectbench.data.discovery.folder import Candidate, Folder
from defectbench.data.discovery.ignored import propose_ignored

# Keys as in defectbench.config.ingest.FORMATS, in which each candidate's settings are checked.
LOOKS_LIKE: dict[str, Callable[[Folder], Iterator[Candidate]]] = {
    "severstal_csv": severstal_csv.looks_like,
    "mask_folder": mask_folder.looks_like,
    "supervisely": supervisely.looks_like,
    "yolo": yolo.looks_like,
    "coco": coco.looks_like,
    "cvat_images": cvat_images.looks_like,
    "cvat_masks": cvat_masks.looks_like,
    "labelme": labelme.looks_like,
    "label_studio": label_studio.looks_like,
    "pascal_voc": pascal_voc.looks_like,
    "yolo_semantic": yolo_semantic.looks_like,
    "mvtec": mvtec.looks_like,
    "area_table": area_table.looks_like,
}


def find_candidates(folder: Folder) -> list[Candidate]:
    """All ways in which ``folder`` may be meant, in the order of the formats."""
    return [propose_ignored(candidate) for looks_like in LOOKS_LIKE.values() for candidate in looks_like(folder)]

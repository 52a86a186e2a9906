"""Writer of Kaggle's Severstal table: ``ImageId,ClassId,EncodedPixels``, rows for defects only."""

import csv
from pathlib import Path

from defectbench.data.manifest import Manifest
from defectbench.data.rle import runs_from_coco, severstal_from_runs
from defectbench.data.writers.base import Exported
from defectbench.files import atomic


def write(manifest: Manifest, folder: Path) -> list[Exported]:
    """Write ``train.csv``; class ids are the dataset's own label values."""
    exported = []
    with atomic(folder / "train.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["ImageId", "ClassId", "EncodedPixels"])
        for row in manifest.frame.itertuples():
            codes = [severstal_from_runs(runs_from_coco(counts)) for counts in row.rle]
            rows = [(row.image_id, value, code) for value, code in zip(manifest.class_values, codes, strict=True)]
            defects = [entry for entry in rows if entry[-1]]
            table.writerows(defects)
            exported.append(Exported(row.image_id, len(defects)))
    return exported

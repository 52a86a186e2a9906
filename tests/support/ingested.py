"""Ingest as tests of foreign data call it."""

from pathlib import Path

import numpy as np
from small_datasets import HEIGHT, WIDTH

from defectbench.config.dataset import DatasetSettings
from defectbench.data.audit import FINDINGS, NOTED, audit
from defectbench.data.ingest import Ingested, ingest
from defectbench.data.manifest import areas


def read(dataset: DatasetSettings, tmp_path: Path) -> Ingested:
    """Ingest; what is noted is in the audit."""
    found = ingest(dataset, tmp_path / "found.csv", threads=1)
    assert {note.finding for note in found.notes} <= set(NOTED) <= set(FINDINGS)
    assert set(audit(found.manifest, found.notes).findings["finding"]) >= {note.finding for note in found.notes}
    return found


def defective(found: Ingested) -> list[str]:
    """Ids of the images with a defect."""
    return found.manifest.frame.loc[areas(found.manifest.frame).sum(axis=1) > 0, "image_id"].tolist()


def index_mask(*values: int) -> np.ndarray:
    """A mask with a block of each value."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for i, value in enumerate(values):
        mask[2 * i : 2 * i + 2, 5:9] = value
    return mask

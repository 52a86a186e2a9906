"""Packs, split and subset of six tiny images, and calls of scripts by keyword."""

from pathlib import Path

import numpy as np
import pandas as pd
from small_datasets import write_image, write_severstal

from defectbench.data.ingest import ingest
from defectbench.data.manifest import Manifest
from defectbench.data.rle import encode_severstal
from defectbench.data.write_packs import pack_images, pack_masks

IDS = [f"{i}.png" for i in range(6)]


def write_packs(root: Path, size: tuple[int, int], defect: tuple[slice, slice], roles: list[str]) -> Manifest:
    """Write packs of six images of ``size``, of which 0, 1 and 4 have a ``defect``, and a split with ``roles``.

    The subset has all train images.
    """
    mask = np.zeros(size, np.uint8)
    mask[defect] = 1
    rows = [f"{index}.png,{class_id},{encode_severstal(mask)}" for index, class_id in ((0, 1), (1, 3), (4, 1))]
    for index in range(6):
        write_image(root / "train_images" / f"{index}.png", seed=index, size=size)
    manifest, *_ = ingest(write_severstal(root, rows, n_images=0), root / "found.csv")
    pack_images(manifest, root, root / "packed")
    pack_masks(manifest, root / "packed")
    pd.DataFrame({"image_id": IDS, "role": roles, "group": IDS}).to_csv(root / "split.csv", index=False)
    train_ids = [image_id for image_id, role in zip(IDS, roles, strict=True) if role == "train"]
    pd.DataFrame({"image_id": train_ids}).to_csv(root / "subset.csv", index=False)
    return manifest


def options(**values: object) -> list[str]:
    """The command line with ``values``; underscores are hyphens."""
    return [text for name, value in values.items() for text in (f"--{name.replace('_', '-')}", str(value))]


def call(script: object, **values: object) -> None:
    """Call the ``main`` of a script module."""
    script.main(options(**values))

"""Histograms of the test images' merged maps, from hist.parquet."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from defectbench.inference.prediction_file import MERGED
from defectbench.metrics.codes import N_BINS


def read_histograms(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Group (N,) str of each test image, and its histogram (N, 2, 256) int64: negative and positive pixels."""
    table = pq.read_table(folder / "hist.parquet", filters=[("role", "==", "test"), ("class", "==", MERGED)])
    ids = table["image_id"].to_numpy()
    sides = [
        pc.list_flatten(table[name]).to_numpy().reshape(len(ids), N_BINS).astype(np.int64)
        for name in ("negative", "positive")
    ]
    rows = pd.read_parquet(folder / "per_image.parquet", columns=["image_id", "group"])
    group_of = rows.drop_duplicates("image_id").set_index("image_id")["group"]
    return group_of.loc[ids].to_numpy(str), np.stack(sides, axis=1)

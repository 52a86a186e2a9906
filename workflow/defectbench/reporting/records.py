"""Records of a study's experiments, read once and under the names that all tables and pictures share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from defectbench.config.base import MERGED
from defectbench.data.tables import read_table
from defectbench.evaluation.pixel_curves import read_image_histograms
from defectbench.files import read_json
from defectbench.metrics.histograms import N_CODES, coarsen
from defectbench.reporting.names import short_names
from defectbench.script import UserError

MIXED = "mixed"
"""The device of a row whose stages or members ran on different ones."""


class RecordsError(UserError):
    """Tables and folders of different studies."""


@dataclass(frozen=True)
class Record:
    """One experiment: its row of results.parquet, its short name and its folder."""

    row: dict[str, Any]
    name: str
    folder: Path

    @property
    def exp_id(self) -> str:
        """Its id."""
        return self.row["exp_id"]

    @cached_property
    def run(self) -> dict[str, Any]:
        """run.json."""
        return read_json(self.folder / "run.json")

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """metrics.json."""
        return read_json(self.folder / "metrics.json")

    @cached_property
    def calibration(self) -> dict[str, Any]:
        """calibration.json."""
        return read_json(self.folder / "calibration.json")

    @cached_property
    def history(self) -> pd.DataFrame:
        """history.csv, a row per evaluation; without rows for a method that is not trained."""
        path = self.folder / "history.csv"
        return read_table(path) if path.is_file() else pd.DataFrame()

    def counts(self, policy: str | None = None, name: str = MERGED) -> pd.DataFrame:
        """Rows of per_image.parquet of class ``name`` on the test images; ``policy`` None: the headline one."""
        filters = [("role", "==", "test"), ("class", "==", name), ("policy", "==", policy or self.row["policy"])]
        rows = pd.read_parquet(self.folder / "per_image.parquet", filters=filters)
        return rows.sort_values("image_id", ignore_index=True)

    def image_histograms(self) -> tuple[np.ndarray, np.ndarray]:
        """Group (N,) str of each test image, and histogram (N, 2, 256) int64 of its merged map, from hist.parquet.

        The histograms count negative and positive pixels per threshold bin.
        """
        ids, histograms = read_image_histograms(self.folder)
        rows = pd.read_parquet(self.folder / "per_image.parquet", columns=["image_id", "group"])
        group_of = rows.drop_duplicates("image_id").set_index("image_id")["group"]
        return group_of.loc[ids].to_numpy(str), histograms

    def histogram(self) -> np.ndarray:
        """Pixels of the merged map on the test images, (2, 256) int64: negative and positive, per threshold bin."""
        return coarsen(self.full_histogram())

    def full_histogram(self) -> np.ndarray:
        """The same of every code, (2, 65536) int64."""
        filters = [("role", "==", "test"), ("class", "==", MERGED)]
        rows = pd.read_parquet(self.folder / "pooled_hist.parquet", filters=filters)
        full = np.zeros((2, N_CODES), np.int64)
        full[:, rows["code"].to_numpy(np.intp)] = rows[["negative", "positive"]].to_numpy(np.int64).T
        return full


def read_records(results: pd.DataFrame, folders: Sequence[Path]) -> list[Record]:
    """The experiments of the rows of results.parquet, in their order; ``folders`` are named by experiment id.

    Raises:
        RecordsError: if a row has no folder.
    """
    folder_of = {folder.name: folder for folder in folders}
    unknown = [exp_id for exp_id in results["exp_id"] if exp_id not in folder_of]
    if unknown:
        raise RecordsError(f"{unknown[0]} is in the results, but not in the settings: make the results again")
    rows: list[dict[str, Any]] = [
        {str(key): None if pd.isna(value) else value for key, value in row.items()}
        for row in results.to_dict("records")
    ]
    return [Record(row, name, folder_of[row["exp_id"]]) for row, name in zip(rows, short_names(results), strict=True)]

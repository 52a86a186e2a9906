"""Result rows as separate files, named by experiment and end of training."""

from datetime import datetime
from pathlib import Path

import pandas as pd

from defectbench.data.tables import csv_text
from defectbench.files import write_text


def export_name(row: pd.Series) -> str:
    """``exp_{model}_{subset}_{prompt}_{imgsz}_{YYYYmmdd-HHMM}.csv`` for a row of the results."""
    ended = datetime.fromisoformat(row["timestamp"]).strftime("%Y%m%d-%H%M")
    model = f"{row['model']}-{row['variant']}" if row["variant"] else row["model"]
    return f"exp_{model}_{row['subset_size']}_{row['prompt_type']}_{row['img_size']}_{ended}.csv"


def export_rows(results: pd.DataFrame, folder: Path) -> list[Path]:
    """Write one CSV per name into ``folder``, with all columns of the results.

    Experiments that share a name (they differ in a setting or the seed, and ended within the same minute) share
    a file, a row each: nothing is overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, rows in results.groupby(results.apply(export_name, axis=1), sort=True):
        write_text(folder / str(name), csv_text(rows))
        paths.append(folder / str(name))
    return paths

"""Reading of the project's own tables: splits, subsets, folds, issues, results."""

from pathlib import Path

import pandas as pd


def read_names(path: Path) -> pd.DataFrame:
    """A table in which every cell is text, such as split.csv: images, groups and classes may be called NA or 007."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def read_table(path: Path) -> pd.DataFrame:
    """A table of names and numbers, in which an empty cell alone is missing: names may be NA, None or null."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])

"""A study with made-up records, which the tests of plots and cards read."""

import pandas as pd
import pytest
from synthetic_study import write_study

from defectbench.reporting.records import read_records


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Eight experiments on 40 test images."""
    return write_study(tmp_path_factory.mktemp("study"), 8, 40)


@pytest.fixture(scope="module")
def records(study):
    """Its records."""
    return read_records(pd.read_parquet(study.folder / "results.parquet"), study.experiments)

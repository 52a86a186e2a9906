"""Draw every model's value against the number of labelled images it was trained on."""

import pandas as pd

from defectbench.data.tables import read_table
from defectbench.reporting.plots.command import draw
from defectbench.reporting.plots.data_efficiency import data_efficiency_figure
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read results and fits and draw the curves."""
    draw(
        argv,
        __doc__,
        data_efficiency_figure,
        results=pd.read_parquet,
        curves=read_table,
        fits=read_table,
    )


if __name__ == "__main__":
    main()

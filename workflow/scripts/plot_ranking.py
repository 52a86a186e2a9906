"""Draw every experiment's value with its confidence interval, best first."""

import pandas as pd

from defectbench.config.report import RankingSettings
from defectbench.data.tables import read_table
from defectbench.reporting.plots.command import draw
from defectbench.reporting.plots.ranking import ranking_figure
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read results, ranks and tests and draw the ranking."""
    draw(
        argv,
        __doc__,
        ranking_figure,
        settings=RankingSettings.read,
        results=pd.read_parquet,
        ranks=read_table,
        pairwise=read_table,
    )


if __name__ == "__main__":
    main()

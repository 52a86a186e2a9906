"""Draw test images with their true masks and the predictions of the best automatic experiment."""

from pathlib import Path

import pandas as pd

from defectbench.config.report import ReportSettings, ResultsSettings
from defectbench.reporting.plots.command import draw
from defectbench.reporting.plots.gallery import gallery_by_rank
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Find the best experiment and draw its gallery."""
    draw(
        argv,
        __doc__,
        gallery_by_rank,
        settings=ReportSettings.read,
        experiments=ResultsSettings.read,
        results=pd.read_parquet,
        pack=Path,
    )


if __name__ == "__main__":
    main()

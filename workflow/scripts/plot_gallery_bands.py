"""Draw test images of given bands of IoU, with their true masks and the best automatic experiment's."""

from pathlib import Path

import pandas as pd

from defectbench.config.report import ReportSettings, ResultsSettings
from defectbench.reporting.plots.command import draw
from defectbench.reporting.plots.gallery import gallery_by_band
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Find the best experiment and draw its images by band."""
    draw(
        argv,
        __doc__,
        gallery_by_band,
        settings=ReportSettings.read,
        experiments=ResultsSettings.read,
        results=pd.read_parquet,
        pack=Path,
    )


if __name__ == "__main__":
    main()

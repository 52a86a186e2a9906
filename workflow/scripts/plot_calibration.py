"""Draw objective against threshold, and the gains of post-processing, on the validation images."""

import pandas as pd

from defectbench.config.report import ResultsSettings
from defectbench.reporting.plots.calibration import draw_calibration
from defectbench.reporting.plots.command import draw
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read every experiment's calibration and draw it."""
    draw(
        argv,
        __doc__,
        draw_calibration,
        experiments=ResultsSettings.read,
        results=pd.read_parquet,
    )


if __name__ == "__main__":
    main()

"""Draw what thresholds and post-processing were worth on the validation images."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.config.report import ResultsSettings
from defectbench.reporting.plots.calibration import calibration_figure, read_rows
from defectbench.reporting.plots.style import save
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read every experiment's calibration and draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=Path, required=True, help="results.yaml: folders of the experiments")
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--png", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--svg", type=Path, required=True, help="SVG file to write")
    args = parser.parse_args(argv)

    table = pd.read_parquet(args.results)
    rows = read_rows(table, ResultsSettings.read(args.experiments).experiments)
    save(calibration_figure(rows, table["dataset"].iloc[0]), args.png, args.svg)
    print(f"choices on val of {len(rows)} experiments with scores: {args.png}")


if __name__ == "__main__":
    main()

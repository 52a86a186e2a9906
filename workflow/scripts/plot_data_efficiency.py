"""Draw every model's value against the number of labelled images it was trained on."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.reporting.plots.data_efficiency import data_efficiency_figure
from defectbench.reporting.plots.style import save
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the results and draw the lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--curves", type=Path, required=True, help="data_efficiency_curves.csv")
    parser.add_argument("--fits", type=Path, required=True, help="data_efficiency.csv")
    parser.add_argument("--png", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--svg", type=Path, required=True, help="SVG file to write")
    args = parser.parse_args(argv)

    figure = data_efficiency_figure(pd.read_parquet(args.results), pd.read_csv(args.curves), pd.read_csv(args.fits))
    save(figure, args.png, args.svg)
    print(f"values against numbers of labels: {args.png}")


if __name__ == "__main__":
    main()

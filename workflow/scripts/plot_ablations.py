"""Draw what single choices are worth: declared pairs, thresholds and post-processing."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.config.report import ResultsSettings
from defectbench.reporting.plots.ablations import ablations_figure
from defectbench.reporting.plots.style import save
from defectbench.reporting.records import read_records
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read records and tests and draw the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=Path, required=True, help="results.yaml: folders of the experiments")
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--pairwise", type=Path, required=True, help="pairwise.csv")
    parser.add_argument("--png", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--svg", type=Path, required=True, help="SVG file to write")
    args = parser.parse_args(argv)

    records = read_records(pd.read_parquet(args.results), ResultsSettings.read(args.experiments).experiments)
    pairwise = pd.read_csv(args.pairwise)
    save(ablations_figure(records, pairwise), args.png, args.svg)
    print(f"{(pairwise['kind'] == 'ablation').sum()} declared ablations: {args.png}")


if __name__ == "__main__":
    main()

"""Fit a power law of error against labels to every model trained on at least three numbers of labels."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.config.report import ResultsSettings
from defectbench.data.tables import csv_text
from defectbench.files import write_text
from defectbench.reporting.power_law import fit_series
from defectbench.reporting.records import read_records
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read results and scores per image, and write the fits and their curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=Path, required=True, help="results.yaml: experiments, bootstrap")
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--fits", type=Path, required=True, help="data_efficiency.csv to write: a row per model")
    parser.add_argument("--curves", type=Path, required=True, help="data_efficiency_curves.csv to write: their points")
    args = parser.parse_args(argv)

    settings, results = ResultsSettings.read(args.experiments), pd.read_parquet(args.results)
    records = read_records(results, settings.experiments)
    fits, curves = fit_series(results, records, settings.bootstrap_draws, settings.bootstrap_seed)
    write_text(args.fits, csv_text(fits))
    write_text(args.curves, csv_text(curves))
    print(f"{len(fits)} power laws in {args.fits}")


if __name__ == "__main__":
    main()

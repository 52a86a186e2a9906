"""Test the experiments of a study against each other, rank them, and measure the spread over seeds."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.config.report import PairwiseSettings
from defectbench.data.tables import csv_text
from defectbench.evaluation.pairwise import pairwise_tables
from defectbench.files import write_text
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read results and scores per image, and write the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="pairwise.yaml: experiments, bootstrap, ablations")
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--pairwise", type=Path, required=True, help="pairwise.csv to write: a row per comparison")
    parser.add_argument("--ranks", type=Path, required=True, help="ranks.csv to write: a row per experiment")
    parser.add_argument("--seeds", type=Path, required=True, help="seeds.csv to write: a row per experiment of several")
    args = parser.parse_args(argv)

    tables = pairwise_tables(pd.read_parquet(args.results), PairwiseSettings.read(args.settings))
    for path, table in ((args.pairwise, tables.pairwise), (args.ranks, tables.ranks), (args.seeds, tables.seeds)):
        write_text(path, csv_text(table))
    claims = ", ".join(f"{count} {claim}" for claim, count in tables.pairwise["claim"].value_counts().items())
    print(f"{len(tables.pairwise)} comparisons ({claims or 'none declared'}) in {args.pairwise}")


if __name__ == "__main__":
    main()

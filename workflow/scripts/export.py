"""Write the results as one CSV per experiment, named with the end of its training."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.reporting.export import export_rows
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the results table and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for the CSV files")
    args = parser.parse_args(argv)

    paths = export_rows(pd.read_parquet(args.results), args.out_dir)
    print(f"{len(paths)} file(s) in {args.out_dir}, e.g. {paths[0].name}")


if __name__ == "__main__":
    main()

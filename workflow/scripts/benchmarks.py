"""Collect the cost of every job in one table: time, memory, GPU."""

import argparse
from pathlib import Path

from defectbench.data.tables import csv_text
from defectbench.files import write_text
from defectbench.reporting.usage import past_jobs
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read all benchmarks, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--top", type=Path, required=True, help="folder that holds runs/ and results/")
    parser.add_argument("--out", type=Path, required=True, help="CSV to write")
    args = parser.parse_args(argv)

    table = past_jobs(args.top)
    write_text(args.out, csv_text(table))
    print(f"{len(table)} jobs, {table['seconds'].sum() / 3600:.2f} hours")


if __name__ == "__main__":
    main()

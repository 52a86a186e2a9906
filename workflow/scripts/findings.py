"""Write the findings of the tests in sentences."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.data.tables import read_names, read_table
from defectbench.files import write_text
from defectbench.reporting.findings import findings
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read results and tests and write the sentences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--ranks", type=Path, required=True, help="ranks.csv: mean and interval of each experiment")
    parser.add_argument("--pairwise", type=Path, required=True, help="pairwise.csv")
    parser.add_argument("--seeds", type=Path, required=True, help="seeds.csv")
    parser.add_argument("--fits", type=Path, required=True, help="data_efficiency.csv")
    parser.add_argument("--issues", type=Path, required=True, help="issues.csv: samples that could not be used")
    parser.add_argument("--leaks", type=Path, required=True, help="leaks.csv: images dropped from a split that leaked")
    parser.add_argument("--out", type=Path, required=True, help="findings.md to write")
    args = parser.parse_args(argv)

    ranks, pairwise = read_table(args.ranks), read_table(args.pairwise)
    seeds, fits = read_table(args.seeds), read_table(args.fits)
    issues, leaks = (read_names(path) for path in (args.issues, args.leaks))
    write_text(args.out, findings(pd.read_parquet(args.results), ranks, pairwise, seeds, fits, issues, leaks))
    print(f"{len(pairwise)} comparisons in words in {args.out}")


if __name__ == "__main__":
    main()

"""Write the leaderboard."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.data.tables import read_names, read_table
from defectbench.files import write_text
from defectbench.reporting.leaderboard import leaderboard
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the results and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--ranks", type=Path, required=True, help="ranks.csv: mean and interval of each experiment")
    parser.add_argument("--pairwise", type=Path, required=True, help="pairwise.csv")
    parser.add_argument("--issues", type=Path, required=True, help="issues.csv: samples that could not be used")
    parser.add_argument("--leaks", type=Path, required=True, help="leaks.csv: images dropped from a split that leaked")
    parser.add_argument("--ungrouped", action="store_true", help="only the pixels tell which images belong together")
    parser.add_argument("--out", type=Path, required=True, help="leaderboard.md to write")
    args = parser.parse_args(argv)

    issues, leaks = (read_names(path) for path in (args.issues, args.leaks))
    results, ranks, pairwise = pd.read_parquet(args.results), read_table(args.ranks), read_table(args.pairwise)
    write_text(args.out, leaderboard(results, ranks, pairwise, issues, leaks, args.ungrouped))
    print(f"{results['experiment'].nunique()} experiments in {args.out}")


if __name__ == "__main__":
    main()

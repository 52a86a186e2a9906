"""Write the tables of a study for a paper, LaTeX and Markdown."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.data.tables import read_names, read_table
from defectbench.files import write_text
from defectbench.reporting.claim_notes import claim_notes
from defectbench.reporting.data_notes import data_notes
from defectbench.reporting.names import experiment_names
from defectbench.reporting.paper import as_latex, as_markdown, paper_tables
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read results and tests and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--ranks", type=Path, required=True, help="ranks.csv: mean and interval of each experiment")
    parser.add_argument("--pairwise", type=Path, required=True, help="pairwise.csv")
    parser.add_argument("--issues", type=Path, required=True, help="issues.csv: samples that could not be used")
    parser.add_argument("--leaks", type=Path, required=True, help="leaks.csv: images dropped from a split that leaked")
    parser.add_argument("--tex", type=Path, required=True, help="LaTeX file to write")
    parser.add_argument("--md", type=Path, required=True, help="Markdown file to write")
    args = parser.parse_args(argv)

    results = pd.read_parquet(args.results)
    ranks, pairwise = read_table(args.ranks), read_table(args.pairwise)
    names = experiment_names(results)
    tables = paper_tables(results, ranks, pairwise, names)
    issues, leaks = (read_names(path) for path in (args.issues, args.leaks))
    notes = [*data_notes(issues, leaks), *(f"{note}." for note in claim_notes(results, ranks, pairwise, names))]
    write_text(args.tex, as_latex(tables, notes))
    write_text(args.md, as_markdown(tables, notes))
    print(f"{len(tables)} tables in {args.tex} and {args.md}")


if __name__ == "__main__":
    main()

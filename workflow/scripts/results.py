"""Consolidate all experiments of a study in one table, a row each."""

import argparse
from pathlib import Path

from defectbench.config.report import NO_NAMES, NamesSettings, ResultsSettings
from defectbench.evaluation.results import consolidate, write_results
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the experiments' folders and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="results.yaml: experiments, bootstrap")
    parser.add_argument("--names", type=Path, help="names.yaml: names of the experiments")
    parser.add_argument("--csv", type=Path, required=True, help="results.csv to write")
    parser.add_argument("--parquet", type=Path, required=True, help="results.parquet to write")
    args = parser.parse_args(argv)

    names = NamesSettings.read(args.names) if args.names else NO_NAMES
    table = consolidate(ResultsSettings.read(args.settings), names)
    write_results(table, args.csv, args.parquet)
    tracks = ", ".join(f"{count} {track}" for track, count in table["track"].value_counts().items())
    print(f"{len(table)} experiments ({tracks}) in {args.csv}")


if __name__ == "__main__":
    main()

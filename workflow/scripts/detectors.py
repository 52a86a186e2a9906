"""Consolidate all detectors of a study in one table, a row each."""

import argparse
from pathlib import Path

from defectbench.config.report import NO_NAMES, NamesSettings
from defectbench.data.tables import csv_text, read_names
from defectbench.evaluation.detection import detectors_table
from defectbench.files import write_text
from defectbench.reporting.data_notes import data_notes
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the experiments' folders and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", type=Path, nargs="+", required=True, help="folders of the experiments")
    parser.add_argument("--names", type=Path, help="names.yaml: names of the experiments")
    parser.add_argument("--issues", type=Path, required=True, help="issues.csv: samples that could not be used")
    parser.add_argument("--leaks", type=Path, required=True, help="leaks.csv: images dropped from a split that leaked")
    parser.add_argument("--csv", type=Path, required=True, help="detectors.csv to write")
    args = parser.parse_args(argv)

    table = detectors_table(args.folders, NamesSettings.read(args.names) if args.names else NO_NAMES)
    issues, leaks = (read_names(path) for path in (args.issues, args.leaks))
    table["notes"] = ["; ".join(filter(None, [note, *data_notes(issues, leaks)])) for note in table["notes"]]
    write_text(args.csv, csv_text(table))
    print(f"{len(table)} detectors in {args.csv}")


if __name__ == "__main__":
    main()

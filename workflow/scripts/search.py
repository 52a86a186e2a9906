"""Rank trained experiments on the val images alone."""

import argparse
from pathlib import Path

from defectbench.config.report import NO_NAMES, NamesSettings
from defectbench.data.tables import csv_text
from defectbench.files import write_text
from defectbench.reporting.search import as_markdown, as_yaml, found_settings, rank_trainings
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the records of the trainings and write the ranking."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", type=Path, nargs="+", required=True, help="folders of the experiments")
    parser.add_argument("--names", type=Path, help="names.yaml: names of the experiments")
    parser.add_argument("--title", required=True, help="heading of the page")
    parser.add_argument("--csv", type=Path, required=True, help="CSV file to write")
    parser.add_argument("--markdown", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--found", type=Path, required=True, help="YAML file to write: a section for other studies")
    parser.add_argument("--left-out", nargs="*", default=[], help="experiments that are not ranked, with the reason")
    args = parser.parse_args(argv)

    table = rank_trainings(args.folders, NamesSettings.read(args.names) if args.names else NO_NAMES)
    page = as_markdown(table, args.title, args.left_out)
    write_text(args.csv, csv_text(table))
    write_text(args.found, as_yaml(found_settings(table)))
    write_text(args.markdown, page)
    print(page)


if __name__ == "__main__":
    main()

"""Put all detectors of a study into one table, a row each."""

import argparse
from pathlib import Path

from defectbench.evaluation.detection import detectors_table
from defectbench.files import write_text
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the experiments' folders and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", type=Path, nargs="+", required=True, help="folders of the experiments")
    parser.add_argument("--csv", type=Path, required=True, help="detectors.csv to write")
    args = parser.parse_args(argv)

    table = detectors_table(args.folders)
    write_text(args.csv, table.to_csv(index=False))
    print(f"{len(table)} detectors in {args.csv}")


if __name__ == "__main__":
    main()

"""Write the split of out-of-fold predictions, by which cross-validated experiments are calibrated and scored."""

import argparse
from pathlib import Path

from defectbench.data.cross_validation import make_oof_split
from defectbench.data.tables import csv_text, read_names
from defectbench.files import write_text
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", type=Path, required=True, help="role and group of each image (CSV)")
    parser.add_argument(
        "--out", type=Path, required=True, help="to write: the same with every train and val image as val (CSV)"
    )
    args = parser.parse_args(argv)

    split = read_names(args.split)
    write_text(args.out, csv_text(make_oof_split(split)))


if __name__ == "__main__":
    main()

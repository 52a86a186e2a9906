"""Find the operating points of inspection of all experiments: overkill at fixed escape rates, and at the least cost."""

import argparse
from pathlib import Path

from defectbench.config.report import OperatingPointsSettings
from defectbench.data.tables import csv_text
from defectbench.evaluation.operating_points import operating_points
from defectbench.files import write_text
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the experiments' folders and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="operating_points.yaml: experiments, costs")
    parser.add_argument("--points", type=Path, required=True, help="operating_points.csv to write")
    args = parser.parse_args(argv)

    points = operating_points(OperatingPointsSettings.read(args.settings))
    write_text(args.points, csv_text(points))
    print(f"{args.points}: {points['exp_id'].nunique()} experiments with clean and defective images and scores")


if __name__ == "__main__":
    main()

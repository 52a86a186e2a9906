"""Draw test images with the prompts that a first stage made, and the masks of the second."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.config.report import ResultsSettings
from defectbench.reporting.plots.cascades import draw_cascades
from defectbench.reporting.plots.style import save
from defectbench.reporting.records import read_records
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Choose images and cascades and draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=Path, required=True, help="results.yaml: folders of the experiments")
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images and masks")
    parser.add_argument("--prompts", type=Path, required=True, help="folder of the dataset's prompts")
    parser.add_argument("--png", type=Path, required=True, help="PNG file to write")
    args = parser.parse_args(argv)

    records = read_records(pd.read_parquet(args.results), ResultsSettings.read(args.experiments).experiments)
    save(draw_cascades(records, args.pack, args.prompts), args.png)
    print(f"cascades: {args.png}")


if __name__ == "__main__":
    main()

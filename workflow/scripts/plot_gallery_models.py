"""Draw the same test images through the eyes of several models, before and after post-processing."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.config.report import ResultsSettings
from defectbench.reporting.plots.gallery_models import draw_gallery_models
from defectbench.reporting.plots.style import save
from defectbench.reporting.records import read_records
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Choose images and models and draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=Path, required=True, help="results.yaml: folders of the experiments")
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images and masks")
    parser.add_argument("--png", type=Path, required=True, help="PNG file to write")
    args = parser.parse_args(argv)

    records = read_records(pd.read_parquet(args.results), ResultsSettings.read(args.experiments).experiments)
    save(draw_gallery_models(records, args.pack), args.png)
    print(f"gallery of models: {args.png}")


if __name__ == "__main__":
    main()

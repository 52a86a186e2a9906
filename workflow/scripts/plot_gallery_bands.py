"""Draw test images whose IoU lies in given bands, with their true masks and the best automatic experiment's."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.config.report import ReportSettings, ResultsSettings
from defectbench.reporting.plots.gallery import draw_gallery
from defectbench.reporting.plots.style import save
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Find the best experiment and draw its images by band."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="report.yaml: which bands, how many images")
    parser.add_argument("--experiments", type=Path, required=True, help="results.yaml: folders of the experiments")
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images and masks")
    parser.add_argument("--png", type=Path, required=True, help="PNG file to write")
    args = parser.parse_args(argv)

    settings, table = ReportSettings.read(args.settings), pd.read_parquet(args.results)
    folders = ResultsSettings.read(args.experiments).experiments
    save(draw_gallery(table, folders, args.pack, settings.gallery_images, settings.gallery_bands), args.png)
    print(f"gallery by bands: {args.png}")


if __name__ == "__main__":
    main()

"""The command line that plots of experiments' records share."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from defectbench.config.report import ResultsSettings
from defectbench.reporting.plots.style import save
from defectbench.reporting.records import read_records

FOLDERS = {"pack": "folder of the packed images and masks", "prompts": "folder of the dataset's prompts"}


def draw(argv: Sequence[str] | None, description: str, figure: Callable[..., Figure], *folders: str) -> None:
    """Parse ``argv``, read the records of the study and save ``figure`` of them and of ``folders``, names of FOLDERS.

    What shows images of a folder is saved as PNG alone.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--experiments", type=Path, required=True, help="results.yaml: folders of the experiments")
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    for name in folders:
        parser.add_argument(f"--{name}", type=Path, required=True, help=FOLDERS[name])
    parser.add_argument("--png", type=Path, required=True, help="PNG file to write")
    if not folders:
        parser.add_argument("--svg", type=Path, required=True, help="SVG file to write")
    args = parser.parse_args(argv)

    records = read_records(pd.read_parquet(args.results), ResultsSettings.read(args.experiments).experiments)
    files = [args.png] if folders else [args.png, args.svg]
    save(figure(records, *(getattr(args, name) for name in folders)), *files)
    print(f"{len(records)} experiments: {args.png}")

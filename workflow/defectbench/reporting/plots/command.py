"""The command line that plots of experiments' records share."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from defectbench.config.report import ResultsSettings
from defectbench.reporting.plots.style import save
from defectbench.reporting.records import Record, read_records


def draw(argv: Sequence[str] | None, description: str, figure: Callable[[list[Record]], Figure]) -> None:
    """Parse ``argv``, read the records of the study and save ``figure`` of them."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--experiments", type=Path, required=True, help="results.yaml: folders of the experiments")
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--png", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--svg", type=Path, required=True, help="SVG file to write")
    args = parser.parse_args(argv)

    records = read_records(pd.read_parquet(args.results), ResultsSettings.read(args.experiments).experiments)
    save(figure(records), args.png, args.svg)
    print(f"{len(records)} experiments: {args.png}")

"""Draw every experiment's value with its confidence interval, best first."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.config.report import RankingSettings
from defectbench.reporting.plots.ranking import ranking_figure
from defectbench.reporting.plots.style import save
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the results and draw the ranking."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="ranking.yaml: the metric")
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--pairwise", type=Path, required=True, help="pairwise.csv")
    parser.add_argument("--png", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--svg", type=Path, required=True, help="SVG file to write")
    args = parser.parse_args(argv)

    settings = RankingSettings.read(args.settings)
    figure = ranking_figure(pd.read_parquet(args.results), pd.read_csv(args.pairwise), settings.metric)
    save(figure, args.png, args.svg)
    print(f"ranking by {settings.metric}: {args.png}")


if __name__ == "__main__":
    main()

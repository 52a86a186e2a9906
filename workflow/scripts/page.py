"""Write the study's page: one HTML file with the answer, leaderboards, cards, comparisons and pictures."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.config.report import ResultsSettings
from defectbench.data.tables import read_names, read_table
from defectbench.files import write_text
from defectbench.reporting.page.build import Inputs, build_page
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the study's tables and records and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--experiments", type=Path, required=True, help="results.yaml: folders of the experiments")
    parser.add_argument("--results", type=Path, required=True, help="results.parquet")
    parser.add_argument("--ranks", type=Path, required=True, help="ranks.csv: mean and interval of each experiment")
    parser.add_argument("--pairwise", type=Path, required=True, help="pairwise.csv")
    parser.add_argument("--points", type=Path, required=True, help="operating_points.csv")
    parser.add_argument("--issues", type=Path, required=True, help="issues.csv: samples that could not be used")
    parser.add_argument("--leaks", type=Path, required=True, help="leaks.csv: images dropped from a split that leaked")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--ungrouped", action="store_true", help="only the pixels tell which images belong together")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images and masks")
    parser.add_argument("--plots", type=Path, nargs="*", default=[], help="plots to show, SVG or PNG")
    parser.add_argument("--captions", type=Path, required=True, help="folder of the plots' captions, NAME.rst each")
    parser.add_argument("--out", type=Path, required=True, help="index.html to write")
    args = parser.parse_args(argv)

    issues, leaks = (read_names(path) for path in (args.issues, args.leaks))
    inputs = Inputs(
        study=args.study,
        results=pd.read_parquet(args.results),
        ranks=read_table(args.ranks),
        pairwise=read_table(args.pairwise),
        points=read_table(args.points),
        issues=issues,
        leaks=leaks,
        split=read_names(args.split),
        ungrouped=args.ungrouped,
        folders=ResultsSettings.read(args.experiments).experiments,
        pack=args.pack,
        plots=args.plots,
        captions=args.captions,
    )
    page = build_page(inputs)
    write_text(args.out, page)
    print(f"{inputs.results['experiment'].nunique()} experiments, {len(page) / 1e6:.1f} MB: {args.out}")


if __name__ == "__main__":
    main()

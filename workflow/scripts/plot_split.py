"""Draw what train, val and test hold: images by combination of classes, and the areas of the defects."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.data.manifest import read_manifest
from defectbench.reporting.plots.split import split_figure
from defectbench.reporting.plots.style import save
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read manifest and split and draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.parquet of the dataset")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--png", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--svg", type=Path, required=True, help="SVG file to write")
    args = parser.parse_args(argv)

    manifest = read_manifest(args.manifest, columns=["image_id", "height", "width", "area"])
    split = pd.read_csv(args.split, dtype=str, keep_default_na=False)
    save(split_figure(manifest, split), args.png, args.svg)
    print(f"{len(split)} images: {args.png}")


if __name__ == "__main__":
    main()

"""Draw training images beside several draws of every augmentation of the study."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.config.augment import AugmentationsSettings
from defectbench.reporting.plots.augmentations import augmentations_figure
from defectbench.reporting.plots.style import save
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read which augmentations there are and draw them on training images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="augmentations.yaml of the study")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images and masks")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--png", type=Path, required=True, help="PNG file to write")
    args = parser.parse_args(argv)

    augmentations = AugmentationsSettings.read(args.settings).augmentations
    split = pd.read_csv(args.split, dtype=str)
    train_ids = split.loc[split["role"] == "train", "image_id"].tolist()
    save(augmentations_figure(augmentations, args.pack, train_ids), args.png)
    print(f"augmentations: {args.png}")


if __name__ == "__main__":
    main()

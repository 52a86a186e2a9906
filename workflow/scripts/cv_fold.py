"""Split the images for the model of one fold: training, early stopping, prediction."""

import argparse
from pathlib import Path

from defectbench.data.cross_validation import make_fold_split
from defectbench.data.manifest import read_manifest
from defectbench.data.tables import csv_text, read_names
from defectbench.files import write_text
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="the dataset's manifest")
    parser.add_argument("--split", type=Path, required=True, help="role and group of each image (CSV)")
    parser.add_argument("--folds", type=Path, required=True, help="fold and group of each image (CSV)")
    parser.add_argument("--fold", type=int, required=True, help="number of the fold, from 0")
    parser.add_argument("--inner-val", type=float, required=True, help="share of the other folds for early stopping")
    parser.add_argument("--seed", type=int, required=True, help="random seed of the inner val images")
    parser.add_argument("--training", type=Path, required=True, help="to write: train and inner val images (CSV)")
    parser.add_argument("--subset", type=Path, required=True, help="to write: train images in order (CSV)")
    parser.add_argument("--prediction", type=Path, required=True, help="to write: the fold as val, and test (CSV)")
    args = parser.parse_args(argv)

    manifest = read_manifest(args.manifest, columns=["image_id", "area"])
    split = read_names(args.split)
    folds = read_names(args.folds).astype({"fold": int})
    fold_split = make_fold_split(manifest.frame, split, folds, args.fold, args.inner_val, args.seed)
    for path, table in zip((args.training, args.subset, args.prediction), fold_split, strict=True):
        write_text(path, csv_text(table))
    roles = fold_split.training["role"].value_counts()
    held_out = (fold_split.prediction["role"] == "val").sum()
    print(f"fold {args.fold}: {roles['train']} train, {roles['val']} inner val, {held_out} held-out images")


if __name__ == "__main__":
    main()

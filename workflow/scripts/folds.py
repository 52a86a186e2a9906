"""Split a dataset's train and val images into folds for cross-validation; test images are in none."""

import argparse
from pathlib import Path

from defectbench.data.manifest import read_manifest
from defectbench.data.splits import make_folds
from defectbench.data.tables import csv_text, read_names
from defectbench.files import write_text
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="the dataset's manifest")
    parser.add_argument("--split", type=Path, required=True, help="role and group of each image (CSV)")
    parser.add_argument("--k", type=int, required=True, help="number of folds")
    parser.add_argument("--seed", type=int, required=True, help="random seed")
    parser.add_argument("--out", type=Path, required=True, help="to write: fold and group of each image (CSV)")
    args = parser.parse_args(argv)

    manifest = read_manifest(args.manifest, columns=["image_id", "area"])
    split = read_names(args.split)
    folds = make_folds(manifest.frame, split, args.k, args.seed)
    write_text(args.out, csv_text(folds))
    print(f"{manifest.dataset}: {len(folds)} train and val images in {args.k} folds, seed {args.seed}")


if __name__ == "__main__":
    main()

"""Draw a stratified subset of the train images; with one seed, smaller subsets are inside larger ones."""

import argparse
from pathlib import Path

from defectbench.data.manifest import read_manifest
from defectbench.data.subsets import make_subset
from defectbench.data.tables import csv_text, read_names
from defectbench.files import write_text
from defectbench.script import run_script


def subset_size(text: str) -> int | str:
    """Read the value of ``--n``: a number above 0, or 'full'."""
    if text == "full":
        return text
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither a number above 0 nor 'full'")


@run_script
def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="the dataset's manifest")
    parser.add_argument("--split", type=Path, required=True, help="role of each image (CSV)")
    parser.add_argument("--n", type=subset_size, required=True, help="number of images, or 'full'")
    parser.add_argument("--seed", type=int, required=True, help="random seed")
    parser.add_argument("--out", type=Path, required=True, help="to write: image ids in the order drawn (CSV)")
    args = parser.parse_args(argv)

    manifest = read_manifest(args.manifest, columns=["image_id", "area"])
    split = read_names(args.split)
    subset = make_subset(manifest.frame, split, args.n, args.seed)
    write_text(args.out, csv_text(subset))
    print(f"{manifest.dataset}: {len(subset)} train images, seed {args.seed}")


if __name__ == "__main__":
    main()

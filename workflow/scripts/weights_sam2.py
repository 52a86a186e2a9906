"""Fetch the base weights of SAM 2, as safetensors: an official checkpoint, or random ones.

An official checkpoint is read from --folder, downloaded to it if it is not there, and checked against the listed
SHA-256. Random weights (a name that ends with _random_sSEED) are for tests and demos.
"""

import argparse
from pathlib import Path

from defectbench.config.families.sam2_encoder import parse_base_name
from defectbench.families.sam2.official import convert_checkpoint, random_weights, save_base
from defectbench.models.published import read_listing, read_published
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Fetch or initialise the weights --name, and write them to --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="e.g. sam2.1_hiera_tiny, sam2.1_hiera_tiny_random_s42")
    parser.add_argument(
        "--table", type=Path, required=True, help="weights.yaml: URL and SHA-256 of official checkpoints"
    )
    parser.add_argument("--folder", type=Path, required=True, help="folder of official checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="safetensors to write")
    args = parser.parse_args(argv)

    _, _, seed = parse_base_name(args.name)
    if seed is not None:
        values, source = random_weights(args.name), "random"
    else:
        weights = read_listing(args.table, args.name)
        checkpoint = read_published(weights, args.folder)
        values, source = convert_checkpoint(checkpoint, args.name), weights.file_name
    save_base(args.out, values, source)
    print(f"{args.out}: {sum(value.numel() for value in values.values()):,} weights, {source}")


if __name__ == "__main__":
    main()

"""Fetch the base weights of SAM 3, with configuration and tokenizer: the official ones, or random ones.

The official files are read from --folder/sam3, or downloaded to it with the token of an account that accepted the
licence. Random weights (a name that ends with _random_sSEED) are those of a reduced network, for tests and demos.
"""

import argparse
from pathlib import Path

from defectbench.config.families.sam3 import parse_base_name
from defectbench.families.sam3.official import fetch_official, read_official
from defectbench.families.sam3.weights import random_base, save_base
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Fetch or initialise the weights --name, and write them to --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="name of the weights: sam3 or sam3_nano_random_sSEED")
    parser.add_argument("--folder", type=Path, required=True, help="folder of official weights: SAM 3's are in sam3/")
    parser.add_argument("--out", type=Path, required=True, help="safetensors to write")
    args = parser.parse_args(argv)

    seed = parse_base_name(args.name)
    base = random_base(args.name) if seed is not None else read_official(fetch_official(args.folder / "sam3"))
    save_base(args.out, base)
    print(f"{args.out}: {sum(value.numel() for value in base.values.values()):,} weights, {base.source}")


if __name__ == "__main__":
    main()

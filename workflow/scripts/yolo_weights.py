"""Fetch the published weights of a YOLO network, as safetensors with their origin in the header.

The file is read from --folder, downloaded to it if it is not there, and its SHA-256 checked. Nothing but
tensors is unpickled.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from defectbench.families.yolo.official import convert_checkpoint
from defectbench.models.published import read_listing, read_published
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Fetch and check the weights, and convert them to safetensors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="name of the weights, e.g. yolo11n-seg")
    parser.add_argument("--table", type=Path, required=True, help="weights.yaml: URL and SHA-256 of published weights")
    parser.add_argument("--folder", type=Path, required=True, help="folder of official weights")
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    args = parser.parse_args(argv)

    weights = read_listing(args.table, args.name)
    checkpoint = read_published(weights, args.folder)
    convert_checkpoint(checkpoint, args.out, asdict(weights) | {"license": "AGPL-3.0"})
    print(f"{args.name}: {args.out}")


if __name__ == "__main__":
    main()

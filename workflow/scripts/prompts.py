"""Draw the prompts of one kind for all images, once for all promptable models."""

import argparse
from pathlib import Path

from defectbench.config.prompts import SOURCES, PromptSettings
from defectbench.data.manifest import read_manifest
from defectbench.data.prompts import draw_all, write_prompts
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the true masks, write prompts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="prompts.yaml of the dataset")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.parquet of the dataset")
    parser.add_argument("--kind", choices=sorted(SOURCES), required=True, help="kind of prompt")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    args = parser.parse_args(argv)

    manifest = read_manifest(args.manifest, columns=["image_id", "height", "width", "rle"])
    n = write_prompts(args.out, args.kind, draw_all(args.kind, manifest, PromptSettings.read(args.settings)))
    print(f"{args.out}: {n} prompts for {len(manifest.frame)} images, source {SOURCES[args.kind]}")


if __name__ == "__main__":
    main()

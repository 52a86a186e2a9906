"""Make the prompts of one kind for all images, from their true masks or sizes, for all promptable models."""

import argparse
from pathlib import Path

from defectbench.config.prompts import NOISY_KINDS, SOURCES, PromptSettings
from defectbench.data.manifest import read_manifest
from defectbench.data.prompt_file import PromptError, write_prompts
from defectbench.data.prompts import draw_dataset_prompts
from defectbench.script import run_script

KINDS = sorted(set(SOURCES) - {"text"})


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the true masks and write prompts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="prompts.yaml of the dataset")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.parquet of the dataset")
    parser.add_argument("--kind", choices=KINDS, required=True, help="kind of prompt")
    parser.add_argument("--noise", type=float, default=0.0, help="displacement of boxes, share of the side's length")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    args = parser.parse_args(argv)

    if args.noise and args.kind not in NOISY_KINDS:
        raise PromptError(f"--noise moves boxes: it is for {', '.join(NOISY_KINDS)}, not with {args.kind}")
    manifest = read_manifest(args.manifest, columns=["image_id", "height", "width", "rle"])
    prompts = draw_dataset_prompts(args.kind, manifest, PromptSettings.read(args.settings), args.noise)
    n = write_prompts(args.out, args.kind, SOURCES[args.kind], prompts)
    print(f"{args.out}: {n} prompts for {len(manifest.frame)} images, source {SOURCES[args.kind]}")


if __name__ == "__main__":
    main()

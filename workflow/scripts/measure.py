"""Measure the pixels of the training images: limits by which deep images are scaled, and statistics of channels."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from defectbench.config.scaling import ScalingSettings
from defectbench.data.packing import ImagePack
from defectbench.data.scaling import measure, split_bands
from defectbench.data.tables import read_names
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the training images of the pack, no others, and write their limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="scaling.yaml: percentiles or limits")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--split", type=Path, required=True, help="roles: those of train are measured (CSV)")
    parser.add_argument("--out", type=Path, required=True, help="scaling.json to write")
    args = parser.parse_args(argv)

    images, split = ImagePack(args.pack), read_names(args.split)
    train_ids = split.loc[split["role"] == "train", "image_id"].tolist()

    def bands() -> Iterator[np.ndarray]:
        for image_id in train_ids:
            yield from split_bands(images.stored(image_id))

    scaling = measure(bands, images.dtype.name, ScalingSettings.read(args.settings), len(train_ids))
    scaling.write(args.out)
    print(f"{args.out}: {scaling.describe() or f'statistics of {len(train_ids)} training images'}")


if __name__ == "__main__":
    main()

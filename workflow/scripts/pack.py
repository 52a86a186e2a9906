"""Decode a dataset's images and masks into flat files that every trainer maps into memory."""

import argparse
from pathlib import Path

from defectbench.config.ingest import read_dataset_settings
from defectbench.data.manifest import read_manifest
from defectbench.data.pixel_formats import DEPTHS, value_type
from defectbench.data.write_packs import pack_images, pack_masks
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="dataset settings (YAML)")
    parser.add_argument("--manifest", type=Path, required=True, help="the dataset's manifest")
    parser.add_argument(
        "--out-dir", type=Path, required=True, help="to fill: images.bin, images.parquet, masks.bin, masks.parquet"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads that read images (default: %(default)s)")
    args = parser.parse_args(argv)

    manifest = read_manifest(args.manifest)
    root = read_dataset_settings(args.dataset).root
    channels = pack_images(manifest, root, args.out_dir, args.threads)
    pack_masks(manifest, args.out_dir)
    colour = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    depth = "" if (dtype := value_type(manifest.frame["stored_as"].iloc[0])) == "uint8" else f" {DEPTHS[dtype.name]}"
    n_classes = len(manifest.class_names)
    print(f"{manifest.dataset}: {len(manifest.frame)} images as {colour}{depth}, {n_classes} classes of masks")


if __name__ == "__main__":
    main()

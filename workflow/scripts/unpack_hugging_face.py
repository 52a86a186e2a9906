"""Unpack a dataset of Hugging Face with images and masks (Parquet, save_to_disk, imagefolder) into files."""

import argparse
from pathlib import Path

from defectbench.data.hugging_face import unpack
from defectbench.data.preview import preview_list
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the dataset")
    parser.add_argument("--out-dir", type=Path, required=True, help="to write: images/ and masks/ in it")
    parser.add_argument("--image-column", help="column of the images (default: image, or another usual name)")
    parser.add_argument("--mask-column", help="column of the masks (default: mask, label, or another usual name)")
    args = parser.parse_args(argv)

    found = unpack(args.data, args.out_dir, args.image_column, args.mask_column)
    image, mask = found.columns
    print(f"{found.images} images of column {image!r}, {found.masks} masks of column {mask!r} in {args.out_dir}")
    print(f"splits: {', '.join(found.splits)}")
    if found.links:
        print(f"links out of {args.data}, followed: {preview_list(found.links)}")
    if found.masks < found.images:
        print(f"{found.images - found.masks} rows have no mask: if these images are clean, set missing_mask: clean")
    print(f"Read them with dataset: {{format: mask_folder, root: {args.out_dir}, ...}}")


if __name__ == "__main__":
    main()

"""Cut a dataset's packed images and masks into overlapping tiles, packed the same way."""

import argparse
from pathlib import Path

from defectbench.data.packing import ImagePack
from defectbench.data.write_packs import pack_tiles
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images and masks")
    parser.add_argument("--tile", type=tile_size, required=True, help="HEIGHTxWIDTH in pixels, e.g. 256x512")
    parser.add_argument("--stride", type=int, required=True, help="pixels between neighbouring tiles")
    parser.add_argument(
        "--out-dir", type=Path, required=True, help="to fill: images.bin, images.parquet, masks.bin, masks.parquet"
    )
    args = parser.parse_args(argv)

    n_tiles = pack_tiles(args.pack, args.out_dir, args.tile, args.stride)
    n_images = len(ImagePack(args.pack).image_ids)
    height, width = args.tile
    print(f"{n_images} images cut into {n_tiles} tiles of {height} x {width}, stride {args.stride}")


def tile_size(text: str) -> tuple[int, int]:
    """Height and width out of 'HEIGHTxWIDTH'."""
    height, width = map(int, text.split("x"))
    return height, width


if __name__ == "__main__":
    main()

"""Convert the labels of all images of a dataset to YOLO's text format, in one file."""

import argparse
from pathlib import Path

from defectbench.data.manifest import read_manifest
from defectbench.data.yolo_labels import KINDS, label_table
from defectbench.files import atomic
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Convert the manifest's masks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="the dataset's manifest")
    parser.add_argument(
        "--kind", choices=KINDS, required=True, help="polygons or boxes, of each class or of the union of all"
    )
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write: a row per image")
    args = parser.parse_args(argv)

    manifest = read_manifest(args.manifest, columns=["image_id", "height", "width", "rle"])
    table = label_table(manifest, args.kind)
    with atomic(args.out) as temporary:
        table.to_parquet(temporary, index=False)
    backgrounds = int((table["objects"] == 0).sum())
    print(f"{manifest.dataset}: {table['objects'].sum()} {args.kind} in {len(table)} images, {backgrounds} backgrounds")
    if table["iou"].notna().any():
        worst = table.loc[table["iou"].idxmin()]
        print(f"lowest IoU of an image's polygons with its masks: {worst['iou']:.4f} ({worst['image_id']})")


if __name__ == "__main__":
    main()

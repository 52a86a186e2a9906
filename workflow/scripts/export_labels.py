"""Export the labels of a dataset to another format, with a report of each image."""

import argparse
from pathlib import Path

from defectbench.data.manifest import read_manifest
from defectbench.data.tables import csv_text
from defectbench.data.writers import WRITERS, export_labels
from defectbench.files import write_text
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="the dataset's manifest")
    parser.add_argument("--format", choices=WRITERS, required=True, help="label format to write")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder to fill; images are not copied")
    parser.add_argument(
        "--report", type=Path, required=True, help="to write: objects per image, and the IoU of polygons (CSV)"
    )
    args = parser.parse_args(argv)

    manifest = read_manifest(args.manifest, columns=["image_id", "height", "width", "rle", "area"])
    report = export_labels(manifest, args.format, args.out_dir)
    write_text(args.report, csv_text(report))
    print(f"{manifest.dataset}: {report['objects'].sum()} objects in {len(report)} images as {args.format}")
    if report["iou"].notna().any():
        worst = report.loc[report["iou"].idxmin()]
        print(f"lowest IoU of an image's polygons with its masks: {worst['iou']:.4f} ({worst['image_id']})")


if __name__ == "__main__":
    main()

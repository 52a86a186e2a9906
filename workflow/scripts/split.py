"""Split a dataset's images into train, val and test."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.config.ingest import read_dataset_settings
from defectbench.config.split import SplitSettings
from defectbench.data.given_roles import read_roles
from defectbench.data.manifest import read_manifest
from defectbench.data.splits import LEAK_COLUMNS, apply_roles, export_note, make_split, split_table
from defectbench.data.tables import csv_text
from defectbench.files import write_text
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="split settings (YAML)")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset settings (YAML)")
    parser.add_argument("--manifest", type=Path, required=True, help="the dataset's manifest")
    parser.add_argument("--split", type=Path, required=True, help="to write: role and group of each image (CSV)")
    parser.add_argument("--table", type=Path, required=True, help="to write: contents of each role (CSV)")
    parser.add_argument("--leaks", type=Path, required=True, help="to write: images dropped from a leaking file (CSV)")
    args = parser.parse_args(argv)

    settings = SplitSettings.read(args.settings)
    manifest = read_manifest(args.manifest, columns=["image_id", "group", "area"])
    given = read_roles(manifest.frame["image_id"], settings, read_dataset_settings(args.dataset))
    if given is None:
        split, leaks = make_split(manifest.frame, settings), pd.DataFrame(columns=LEAK_COLUMNS)
    else:
        split, leaks = apply_roles(manifest.frame, settings, given)
        for name, image_id in list(given.rewritten.items())[:5]:
            print(f"{given.source}: {name!r} was taken for {image_id!r}, one of {len(given.rewritten)} such names")
    write_text(args.split, csv_text(split))
    write_text(args.table, csv_text(split_table(manifest.frame, split, manifest.class_names)))
    write_text(args.leaks, csv_text(leaks))
    counts = split["role"].value_counts()
    print(f"{manifest.dataset}: {counts['train']} train, {counts['val']} val, {counts['test']} test images")
    if settings.group_by is None and (note := export_note(manifest.frame["image_id"])):
        print(note)
    if len(leaks):
        print(f"dropped {len(leaks)} images whose picture is also in another role: {args.leaks}")


if __name__ == "__main__":
    main()

"""Ingest a dataset: read its images and labels once, and write its manifest and issues."""

import argparse
from collections import Counter
from pathlib import Path

from defectbench.config.ingest import read_dataset_settings
from defectbench.data.ingest import ingest, write_issues, write_notes
from defectbench.data.manifest import write_manifest
from defectbench.printable import printable
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="dataset settings (YAML)")
    parser.add_argument("--manifest", type=Path, required=True, help="to write: a row per usable image (Parquet)")
    parser.add_argument("--issues", type=Path, required=True, help="to write: problems of unusable samples (CSV)")
    parser.add_argument(
        "--notes", type=Path, required=True, help="to write: what was passed over, or not read as it stands there (CSV)"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads that read images (default: %(default)s)")
    args = parser.parse_args(argv)

    settings = read_dataset_settings(args.settings)
    # Snakemake deletes the declared outputs of a failed job, so that the list is then written elsewhere.
    problem_file = args.issues.with_name("issues_found.csv")
    manifest, problems, notes = ingest(settings, problem_file, args.threads)
    write_manifest(args.manifest, manifest)
    write_issues(args.issues, problems)
    write_notes(args.notes, notes)
    print(f"{settings.name}: {len(manifest.frame)} images, {manifest.n_quarantined} samples quarantined")
    for finding, count in Counter(note.finding for note in notes).items():
        first = next(note for note in notes if note.finding == finding)
        print(printable(f"{finding}: {count} in {args.notes}, the first: {first.sample}: {first.detail}"))


if __name__ == "__main__":
    main()

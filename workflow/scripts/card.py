"""Audit a dataset and write its card: contents and oddities in words, pictures and a table."""

import argparse
from pathlib import Path

from defectbench.config.ingest import read_dataset_settings
from defectbench.data.audit import audit, only_areas
from defectbench.data.manifest import read_manifest
from defectbench.data.tables import csv_text, read_names, read_table
from defectbench.files import write_text
from defectbench.reporting.dataset_card import PICTURES, dataset_card
from defectbench.reporting.plots.dataset_card_charts import dataset_charts
from defectbench.reporting.plots.dataset_card_examples import examples_figure, read_examples
from defectbench.reporting.plots.style import save
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Audit the dataset and write its findings and its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="dataset settings (YAML)")
    parser.add_argument("--manifest", type=Path, required=True, help="the dataset's manifest")
    parser.add_argument("--issues", type=Path, required=True, help="issues.csv of the ingest")
    parser.add_argument("--notes", type=Path, required=True, help="ingest_notes.csv of the ingest")
    parser.add_argument("--audit", type=Path, required=True, help="to write: every finding (CSV)")
    parser.add_argument(
        "--card", type=Path, required=True, help="to write: the card (Markdown), its pictures in card/ beside it"
    )
    args = parser.parse_args(argv)

    settings = read_dataset_settings(args.settings)
    manifest = read_manifest(args.manifest)
    audited = audit(manifest, read_names(args.notes).itertuples(index=False, name=None))
    figures = dataset_charts(manifest, audited)
    if not only_areas(manifest):
        examples = read_examples(manifest, settings.root)
        figures["examples"] = examples_figure(
            examples, manifest.dataset, len(manifest.class_names), manifest.has_ignored
        )
    # The card shows its pictures by this path.
    folder = args.card.with_name("card")
    for name in PICTURES:
        png, svg = folder / f"{name}.png", folder / f"{name}.svg"
        if name in figures:
            save(figures[name], png, svg)
        else:
            png.unlink(missing_ok=True)
            svg.unlink(missing_ok=True)
    write_text(args.audit, csv_text(audited.findings))
    write_text(args.card, dataset_card(manifest, audited, read_table(args.issues), settings, figures))
    print(f"{manifest.dataset}: {len(audited.findings):,} findings in {args.audit}, card in {args.card}")


if __name__ == "__main__":
    main()

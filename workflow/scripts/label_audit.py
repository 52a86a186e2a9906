"""Label audit: rank images by the disagreement of label and model: missed, phantom, misnamed and shifted labels.

Writes into --out: label_audit.csv (a row per image, the most suspicious first), findings.csv (all disagreements),
pictures/ and export/labels, export/model (labels and masks of the first images, for re-annotation).

The model's masks are at the thresholds of the highest F1 per class on the same images: the thresholds of dice_all,
which counts clean images too, may exclude a rare class from every mask, and with it all errors of its labels.
"""

import argparse
import shutil
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pandas as pd

from defectbench.config.base import MERGED
from defectbench.config.calibrate import CalibrateSettings
from defectbench.config.label_audit import LabelAuditSettings
from defectbench.data.manifest import Manifest, read_manifest
from defectbench.data.packing import ImagePack
from defectbench.data.rle import encode_coco
from defectbench.data.stripes import mark_ignored
from defectbench.data.tables import csv_text
from defectbench.data.writers import write_labels
from defectbench.evaluation.calibration import Calibration, calibrate
from defectbench.evaluation.gate import final_masks
from defectbench.evaluation.label_audit import Finding, find_regions, judge, rank_images
from defectbench.evaluation.truth import ValidationData, read_truth
from defectbench.files import write_text
from defectbench.inference.prediction_file import PredictionFile
from defectbench.reporting.audit_pictures import audit_picture, explain
from defectbench.reporting.new_images import write_png
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Find, rank, draw, export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--settings", type=Path, required=True, help="label_audit.yaml: number of images, export format"
    )
    parser.add_argument("--predictions", type=Path, required=True, help="out-of-fold (or val) predictions")
    parser.add_argument("--calibrate", type=Path, required=True, help="calibrate.yaml: post-processing to try")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.parquet of the dataset")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    args = parser.parse_args(argv)

    settings = LabelAuditSettings.read(args.settings)
    with PredictionFile(args.predictions) as predictions:
        data = ValidationData(predictions, read_truth(args.manifest, args.split), ImagePack(args.pack))
        by_f1 = CalibrateSettings.read(args.calibrate).model_copy(update={"objective": "f1"})
        calibration = calibrate(data, by_f1)
        findings = judge(find_regions(data, calibration))
        table = rank_images(findings, data.ids)
        suspicious = table[(table["score"] > 0) & (table["rank"] <= settings.images)]
        shutil.rmtree(args.out / "pictures", ignore_errors=True)
        model = draw_pictures(data, calibration, suspicious, args.out / "pictures")
    columns = [field.name for field in fields(Finding)]
    write_text(args.out / "findings.csv", csv_text(pd.DataFrame(map(asdict, findings), columns=columns)))
    labels = read_manifest(args.manifest)
    export_images(labels, model, settings.export, args.out / "export")
    # Last: the rule's output, written only if everything else is complete.
    write_text(args.out / "label_audit.csv", csv_text(table))
    n_suspicious = table["n_findings"].gt(0).sum()
    print(f"{args.out}: {len(table)} images, {len(findings)} disagreements in {n_suspicious} of them")
    for row in table.head(5).itertuples():
        if row.score > 0:
            print(f"  {row.rank}. {row.image_id}: {explain(row)}, score {row.score:.2f}")


def draw_pictures(
    data: ValidationData, calibration: Calibration, table: pd.DataFrame, folder: Path
) -> dict[str, np.ndarray]:
    """Draw the images of ``table``, in one pass over the maps; returns the model's masks (C, H, W) of each."""
    rows = {row.image_id: row for row in table.itertuples()}
    masks = {}
    for sample in data:
        row = rows.get(sample.image_id)
        if row is not None:
            assert sample.image is not None, "the pack of images was given"
            masks[sample.image_id] = final_masks(sample.codes, calibration, sample.image, sample.ignored)
            image = mark_ignored(sample.image, sample.ignored)
            picture = audit_picture(image, sample.truth, masks[sample.image_id], sample.classes, row)
            write_png(folder / f"{row.rank:04d}_{sample.image_id.replace('/', '_')}.png", picture)
    return masks


def export_images(labels: Manifest, model: dict[str, np.ndarray], form: str, folder: Path) -> None:
    """Write the labels of the images in ``model``, and the model's masks, for annotators."""
    frame = labels.frame[labels.frame["image_id"].isin(model)]
    names, values = labels.class_names, labels.class_values
    shutil.rmtree(folder, ignore_errors=True)
    write_labels(Manifest(frame, labels.dataset, names, values, 0), form, folder / "labels")
    predicted = [model[image_id] for image_id in frame["image_id"]]
    if any(len(masks) != len(names) for masks in predicted):
        names, values = (MERGED,), (1,)
    model_frame = frame.assign(
        rle=[[encode_coco(mask) for mask in masks] for masks in predicted],
        area=[[int(mask.sum()) for mask in masks] for masks in predicted],
    )
    write_labels(Manifest(model_frame, labels.dataset, names, values, 0), form, folder / "model")


if __name__ == "__main__":
    main()

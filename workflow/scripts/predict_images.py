"""Predict the images in a folder, which need no labels, with a finished experiment.

Writes into --out: maps.pred.parquet (score maps), overlays/ (images with the outlines of the predicted defects, PNG),
annotations.json (COCO), images.csv (a row per image and class) and, of experiments with a map per class,
submission.csv and submission_separate.csv (Kaggle), with --sample in its order. Masks have the calibrated
thresholds and post-processing and, with --gate, pass the gate of a submission; or, with --imposed, those of
calibrate.imposed.
"""

import argparse
import shutil
from pathlib import Path

from defectbench.config.base import MERGED
from defectbench.data.deep_images import Pixels
from defectbench.data.images import ROTATED
from defectbench.data.manifest import read_manifest
from defectbench.data.preview import preview_names
from defectbench.data.rle import runs_from_coco
from defectbench.data.scaling import Scaling
from defectbench.data.submission import Layout, read_order, write_submission
from defectbench.data.tables import csv_text
from defectbench.data.writers import coco
from defectbench.evaluation.calibration import Calibration
from defectbench.evaluation.gate import Gate, final_masks
from defectbench.families.registry import load_experiment
from defectbench.files import read_json, write_text
from defectbench.inference.prediction_file import PredictionHeader, write_predictions
from defectbench.reporting.new_images import (
    PredictedImages,
    find_images,
    links_out,
    passed_over,
    read_images,
    write_overlay,
)
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Predict image by image, then write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", type=Path, required=True, help="folder of a finished, calibrated experiment")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.parquet of its dataset: class values")
    parser.add_argument("--images", type=Path, required=True, help="folder of the images, searched with its subfolders")
    parser.add_argument("--gate", type=Path, help="submission.json of the experiment, for its gate")
    parser.add_argument("--imposed", action="store_true", help="masks by the threshold and smallest area imposed")
    parser.add_argument("--sample", type=Path, help="sample_submission.csv: images and order of the submissions' rows")
    parser.add_argument("--scaling", type=Path, help="scaling.json of its dataset, for pictures of deep images")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    args = parser.parse_args(argv)

    ids = find_images(args.images)
    predictor, classes = load_experiment(args.experiment)
    calibration = Calibration(**read_json(args.experiment / "calibration.json"))
    gate = Gate(**read_json(args.gate)["gate"]) if args.gate else None
    labels = read_manifest(args.manifest, columns=["stored_as", "channels"])
    channels = int(labels.frame["channels"].max())
    kind = Pixels.of_manifest(labels.frame["stored_as"].iloc[0], channels)
    scaling = Scaling.read(args.scaling) if args.scaling else None
    # As viewers show them, unless the images that were learned from are not: cameras may say how they were held.
    upright = not labels.frame["stored_as"].str.endswith(ROTATED).any()
    values = (1,) if classes == (MERGED,) else labels.class_values
    rows = [(image_id, value) for image_id in ids for value in values]
    order = read_order(args.sample, rows) if args.sample else rows  # a wrong sample stops before anything is predicted
    results = PredictedImages(classes, values)
    # Overlays of an earlier run would be mistaken for results of this one.
    shutil.rmtree(args.out / "overlays", ignore_errors=True)
    header = PredictionHeader("new", classes, calibration.has_scores)
    with write_predictions(args.out / "maps.pred.parquet", header) as maps:
        for image_id, stored in read_images(args.images, ids, upright, kind, channels):
            codes = predictor(stored)
            image = stored if scaling is None else scaling.apply(stored)
            masks = final_masks(codes, calibration, image, imposed=args.imposed)
            if gate is not None:
                masks = gate.apply(masks, codes)
            maps.add(image_id, codes)
            results.add(image_id, codes, masks)
            write_overlay(args.out / "overlays" / f"{image_id}.png", image, masks, classes)
    manifest = results.manifest(args.images.name)
    coco.write(manifest, args.out)
    write_text(args.out / "images.csv", csv_text(results.table()))
    if classes != (MERGED,):
        names: dict[Layout, str] = {"joined": "submission.csv", "separate": "submission_separate.csv"}
        counts = {
            (row.image_id, value): counts
            for row in manifest.frame.itertuples()
            for value, counts in zip(manifest.class_values, row.rle, strict=True)
        }
        for layout, name in names.items():
            write_submission(args.out / name, ((*key, runs_from_coco(counts[key])) for key in order), layout)
    flagged = results.table().groupby("image_id")["defect"].any().sum()
    print(f"{args.out}: {len(ids)} images, {flagged} with a defect")
    if others := passed_over(args.images):
        print(f"passed over: {preview_names(others, 'files and folders')}")
    if links := links_out(args.images):
        print(f"followed out of {args.images}: {preview_names(links, 'links')}")


if __name__ == "__main__":
    main()

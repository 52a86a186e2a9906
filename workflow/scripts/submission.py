"""Write a Kaggle submission of the test images and its score. The gate is chosen on val images only.

Masks have each class's calibrated threshold and post-processing (smallest area included), and are emptied where the
image's defect score for the class is below the gate.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from defectbench.config.base import MERGED
from defectbench.data.manifest import read_manifest
from defectbench.data.packing import ImagePack
from defectbench.data.rle import runs_from_mask
from defectbench.data.submission import SubmissionError, read_submission, true_runs, write_submission
from defectbench.evaluation.calibration import Calibration
from defectbench.evaluation.gate import choose_gate, final_masks
from defectbench.evaluation.submission_score import score_submission
from defectbench.evaluation.truth import HeldOutData, ValidationData, read_truth
from defectbench.files import read_json, write_json
from defectbench.inference.prediction_file import PredictionFile
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Choose the gate, write both layouts, read one back and score it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--val", type=Path, required=True, help="val or out-of-fold predictions")
    parser.add_argument("--test", type=Path, required=True, help="test.pred.parquet")
    parser.add_argument("--calibration", type=Path, required=True, help="calibration.json")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.parquet of the dataset")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--pack", type=Path, help="folder of the packed images, which a dense CRF needs")
    parser.add_argument("--joined", type=Path, required=True, help="CSV to write, with the column ImageId_ClassId")
    parser.add_argument("--separate", type=Path, required=True, help="CSV to write, with columns ImageId, ClassId")
    parser.add_argument("--report", type=Path, required=True, help="JSON to write: score, gain, gate")
    args = parser.parse_args(argv)

    truth = read_truth(args.manifest, args.split)
    calibration = Calibration(**read_json(args.calibration))
    images = ImagePack(args.pack) if args.pack else None
    with PredictionFile(args.val) as val, PredictionFile(args.test) as test:
        if test.header.classes == (MERGED,):
            raise SubmissionError(f"{args.test}: a submission needs a map per class; train with task: per_class")
        gate = choose_gate(ValidationData(val, truth, images), calibration)
        data = HeldOutData(test, truth, images)

        def entries() -> Iterator[tuple[str, int, np.ndarray]]:
            for sample in data:
                masks = gate.apply(final_masks(sample.codes, calibration, sample.image, sample.ignored), sample.codes)
                for value, mask in zip(truth.manifest.class_values, masks, strict=True):
                    yield sample.image_id, value, runs_from_mask(mask)

        write_submission(args.joined, entries(), "joined")
    frame = truth.manifest.frame
    sizes = dict(zip(frame["image_id"], zip(frame["height"], frame["width"], strict=True), strict=True))
    submitted = read_submission(args.joined, sizes)
    write_submission(args.separate, ((*key, runs) for key, runs in submitted.items()), "separate")
    scores = score_submission(submitted, true_runs(read_manifest(args.manifest), data.ids))
    write_json(args.report, {**scores, "n_images": len(data.ids), "gate": asdict(gate)})
    print(
        f"{args.joined}: {len(data.ids)} images, dice_kaggle {scores['dice_kaggle']:.4f}, "
        f"{scores['dice_kaggle_gain']:+.4f} over the all-empty submission's {scores['dice_kaggle_empty']:.4f}"
    )


if __name__ == "__main__":
    main()

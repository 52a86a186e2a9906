"""Calibrate threshold and post-processing of an experiment on its val predictions; test predictions are refused."""

import argparse
from dataclasses import asdict
from pathlib import Path

from defectbench.config.calibrate import CalibrateSettings
from defectbench.data.packing import ImagePack
from defectbench.evaluation.calibration import calibrate
from defectbench.evaluation.truth import ValidationData, read_truth
from defectbench.files import write_json
from defectbench.inference.prediction_file import PredictionFile
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the val predictions and write calibration.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="calibrate.yaml of the experiment")
    parser.add_argument("--predictions", type=Path, required=True, help="val.pred.parquet")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.parquet of the dataset")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--pack", type=Path, help="folder of the packed images, which a dense CRF needs")
    parser.add_argument("--out", type=Path, required=True, help="calibration.json to write")
    args = parser.parse_args(argv)

    settings = CalibrateSettings.read(args.settings)
    images = ImagePack(args.pack) if args.pack else None
    with PredictionFile(args.predictions) as predictions:
        data = ValidationData(predictions, read_truth(args.manifest, args.split), images)
        calibration = calibrate(data, settings)
    write_json(args.out, asdict(calibration))
    choices = [f"{name} p >= {p:.3f}" for name, p in calibration.threshold.items()]
    choices += [f"{name} post-processing: {calibration.pipeline(name)[1]}" for name in calibration.post_processed]
    print(f"{args.out.parent.name}: {calibration.objective} on {calibration.n_images} val images: {'; '.join(choices)}")


if __name__ == "__main__":
    main()

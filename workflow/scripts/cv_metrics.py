"""Score a cross-validated experiment by fold, at thresholds chosen on the other folds, and pooled over all folds."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.config.calibrate import CalibrateSettings
from defectbench.data.tables import read_names
from defectbench.evaluation.cross_validation import count_folds, cross_fit_thresholds, fold_metrics
from defectbench.evaluation.objective import Objective
from defectbench.evaluation.truth import ValidationData, read_truth
from defectbench.files import atomic, write_json
from defectbench.inference.prediction_file import PredictionFile
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Choose thresholds, count, and compute the metrics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="calibrate.yaml of the experiment")
    parser.add_argument("--predictions", type=Path, required=True, help="out-of-fold predictions")
    parser.add_argument("--histograms", type=Path, required=True, help="hist.parquet of the experiment")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.parquet of the dataset")
    parser.add_argument("--split", type=Path, required=True, help="split.csv of cross-validation: all val, or test")
    parser.add_argument("--folds", type=Path, required=True, help="fold of each image (CSV)")
    parser.add_argument("--records", type=Path, required=True, help="cv.parquet to write: counts per image")
    parser.add_argument("--metrics", type=Path, required=True, help="cv.json to write")
    args = parser.parse_args(argv)

    settings = CalibrateSettings.read(args.settings)
    objective = Objective(settings.objective, settings.active_recall)
    table = read_names(args.folds).astype({"fold": int})
    folds = dict(zip(table["image_id"], table["fold"].tolist(), strict=True))
    histograms = pd.read_parquet(args.histograms, filters=[("role", "==", "val")])
    with PredictionFile(args.predictions) as predictions:
        data = ValidationData(predictions, read_truth(args.manifest, args.split))
        thresholds = cross_fit_thresholds(histograms, data.header.classes, folds, objective)
        records = count_folds(data, thresholds, folds)
    metrics = fold_metrics(records, thresholds)
    with atomic(args.records) as temporary:
        records.to_parquet(temporary, index=False)
    write_json(args.metrics, metrics)
    mean, sd, pooled = (metrics[part]["dice_all"] for part in ("mean", "sd", "pooled"))
    summary = f"dice_all {mean:.3f} ± {sd:.3f} over {metrics['n_folds']} folds, {pooled:.3f} pooled"
    print(f"{args.metrics.parent.name}: {summary}")


if __name__ == "__main__":
    main()

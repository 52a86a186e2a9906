"""Score an experiment: count every val and test image, and compute all metrics from the counts."""

import argparse
from pathlib import Path

from defectbench.config.score import ScoreSettings
from defectbench.data.packing import ImagePack
from defectbench.evaluation.calibration import Calibration
from defectbench.evaluation.scoring import score
from defectbench.evaluation.summary import summarise
from defectbench.evaluation.truth import HeldOutData, ValidationData, read_truth
from defectbench.files import read_json, write_json
from defectbench.inference.prediction_file import PredictionFile
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read predictions and truth, write counts, histograms, components and metrics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="score.yaml of the experiment")
    parser.add_argument("--val", type=Path, required=True, help="val.pred.parquet")
    parser.add_argument("--test", type=Path, required=True, help="test.pred.parquet")
    parser.add_argument("--calibration", type=Path, required=True, help="calibration.json")
    parser.add_argument(
        "--run", type=Path, required=True, help="run.json: whether the method is zero-shot, and its track"
    )
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.parquet of the dataset")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--pack", type=Path, help="folder of the packed images, which a dense CRF needs")
    parser.add_argument("--per-image", type=Path, required=True, help="per_image.parquet to write")
    parser.add_argument("--hist", type=Path, required=True, help="hist.parquet to write")
    parser.add_argument("--pooled", type=Path, required=True, help="pooled_hist.parquet to write")
    parser.add_argument("--components", type=Path, required=True, help="components.parquet to write")
    parser.add_argument("--froc", type=Path, required=True, help="froc.parquet to write")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json to write")
    args = parser.parse_args(argv)

    settings = ScoreSettings.read(args.settings)
    truth = read_truth(args.manifest, args.split)
    calibration = Calibration(**read_json(args.calibration))
    run = read_json(args.run)
    kind = {"zero_shot": run.get("zero_shot", False), "oracle": run["experiment"]["track"] == "oracle"}
    images = ImagePack(args.pack) if args.pack else None
    with PredictionFile(args.val) as val, PredictionFile(args.test) as test:
        data = ValidationData(val, truth, images), HeldOutData(test, truth, images)
        scores = score(*data, calibration, settings)
    metrics = summarise(scores, calibration, truth.manifest.digest(), settings, **kind)
    if (n_ignored := truth.count_ignored("test")) is not None:
        metrics["n_pixels_ignored"] = n_ignored
    scores.write(args.per_image, args.hist, args.pooled, args.components, args.froc)
    write_json(args.metrics, metrics)
    names = [name for name in ("dice_all", "test_mIoU") if metrics[name] is not None]
    values = ", ".join(f"{name} {metrics[name]:.3f}" for name in names)
    print(f"{args.metrics.parent.name}: {metrics['n_test']} test images: {values}")


if __name__ == "__main__":
    main()

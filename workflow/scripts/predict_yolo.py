"""Predict all val and test images with a YOLO segmentation network. Sees images and roles only, never a label."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.config.families.yolo import YoloSettings
from defectbench.data.packing import ImagePack
from defectbench.files import read_json, write_json
from defectbench.inference.network import device_name
from defectbench.inference.predict import predict_roles, timing_record
from defectbench.inference.tta import augmented
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Rebuild the network from its run record, load its weights, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run.json of the training")
    parser.add_argument("--weights", type=Path, required=True, help="weights as safetensors")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--val", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--test", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--timing", type=Path, required=True, help="timing.json to write")
    args = parser.parse_args(argv)

    # An extra: its absence is a message.
    from defectbench.families.yolo.network import load_predictor

    run = read_json(args.run)
    settings = YoloSettings.model_validate(run["settings"])
    predictor = load_predictor(settings, run["classes"], args.weights)
    split = pd.read_csv(args.split, dtype=str)
    outputs = {"val": args.val, "test": args.test}
    classes = tuple(run["classes"])
    maps = augmented(predictor.maps, settings.tta)
    seconds = predict_roles(maps, ImagePack(args.pack), split, outputs, classes, has_scores=True)
    device = predictor.device
    write_json(args.timing, timing_record(seconds, device_name(device)))
    print(f"{run['experiment']['exp_id']}: predicted {len(seconds)} images in {sum(seconds):.1f} s")


if __name__ == "__main__":
    main()

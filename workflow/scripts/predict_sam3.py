"""Predict all val and test images with SAM 3, asked by phrases. Sees images and roles only, never a label."""

import argparse
from pathlib import Path

import pandas as pd
import torch

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.data.packing import ImagePack
from defectbench.families.sam3.predictor import load_sam3
from defectbench.files import read_json, write_json
from defectbench.inference.network import device_name
from defectbench.inference.predict import predict_roles, timing_record
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Rebuild the network from its run record, load its adapters, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run.json of the training")
    parser.add_argument("--base", type=Path, required=True, help="weights that the training started from")
    parser.add_argument("--weights", type=Path, required=True, help="the adapters, as safetensors")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--features", type=Path, required=True, help="folder of kept features")
    parser.add_argument("--val", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--test", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--timing", type=Path, required=True, help="timing.json to write")
    args = parser.parse_args(argv)

    run = read_json(args.run)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cached = Sam3Settings.model_validate(run["settings"]).cache_embeddings
    predictor, clock = load_sam3(run, args.base, args.weights, device, args.features if cached else None)
    split = pd.read_csv(args.split, dtype=str)
    outputs = {"val": args.val, "test": args.test}
    classes, images = tuple(run["classes"]), ImagePack(args.pack)
    seconds = predict_roles(predictor, images, split, outputs, classes, has_scores=True, clock=clock)
    write_json(args.timing, timing_record(seconds, device_name(device)))
    print(f"{run['experiment']['exp_id']}: predicted {len(seconds)} images in {sum(seconds):.1f} s")


if __name__ == "__main__":
    main()

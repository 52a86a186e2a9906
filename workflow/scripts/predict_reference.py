"""Predict all val and test images with a reference method. Sees images and roles only, never a label."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.data.packing import ImagePack
from defectbench.families.reference.methods import Constant, from_dict
from defectbench.files import read_json, write_json
from defectbench.inference.predict import predict_roles, timing_record
from defectbench.inference.prediction_file import MERGED
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the method's settings and predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.json")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--val", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--test", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--timing", type=Path, required=True, help="timing.json to write")
    args = parser.parse_args(argv)

    model = from_dict(read_json(args.model))
    split = pd.read_csv(args.split, dtype=str)
    outputs = {"val": args.val, "test": args.test}
    has_scores = not isinstance(model, Constant)
    seconds = predict_roles(model.codes, ImagePack(args.pack), split, outputs, (MERGED,), has_scores)
    write_json(args.timing, timing_record(seconds, "CPU"))
    print(f"{args.model.parent.parent.name}: predicted {len(seconds)} images in {sum(seconds):.1f} s")


if __name__ == "__main__":
    main()

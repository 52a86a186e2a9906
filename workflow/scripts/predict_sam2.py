"""Predict val and test images with a promptable SAM 2. Sees images, roles and a file of prompts, never a label."""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.data.packing import ImagePack
from defectbench.data.prompt_file import read_prompts
from defectbench.families.sam2.predictor import load_prompted, predict_prompted
from defectbench.files import read_json, write_json
from defectbench.inference.network import device_name
from defectbench.inference.predict import timing_record
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Rebuild the network from its run record, load its weights, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run.json of the training")
    parser.add_argument("--base", type=Path, required=True, help="weights that the training started from")
    parser.add_argument("--weights", type=Path, required=True, help="what was trained, as safetensors")
    parser.add_argument("--prompts", type=Path, required=True, help="prompts of all images")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder of kept embeddings")
    parser.add_argument("--val", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--test", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--timing", type=Path, required=True, help="timing.json to write")
    args = parser.parse_args(argv)

    run = read_json(args.run)
    predictor = load_prompted(run, args.base, args.weights, args.embeddings)
    split = pd.read_csv(args.split, dtype=str)
    source = run["experiment"]["prompt_source"]
    outputs = {"val": args.val, "test": args.test}
    prompts = read_prompts(args.prompts, source)
    seconds = predict_prompted(predictor, ImagePack(args.pack), split, prompts, outputs, source)
    write_json(args.timing, timing_record(seconds, device_name(predictor.device)))
    print(f"{run['experiment']['exp_id']}: predicted {len(seconds)} images in {sum(seconds):.1f} s")


if __name__ == "__main__":
    main()

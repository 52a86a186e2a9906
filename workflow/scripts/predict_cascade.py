"""Predict val and test images with a promptable model, prompted with another experiment's predictions; no label."""

import argparse
from pathlib import Path

from defectbench.config.families.cascade import ResolvedCascade
from defectbench.config.identity import ExperimentIdentity
from defectbench.data.packing import ImagePack
from defectbench.data.prompt_file import read_prompts
from defectbench.data.tables import read_names
from defectbench.families.cascade.record import Stage, cascade_record, cascade_timing
from defectbench.families.sam2.predict import predict_prompted
from defectbench.families.sam2.predictor import load_prompted
from defectbench.files import read_json, write_json
from defectbench.inference.cpu_load import cpu_load
from defectbench.inference.network import device_name
from defectbench.inference.predict import timing_record
from defectbench.inference.predictor import ModelFiles
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Load the segmenter, predict with its prompts, and record both stages and their costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="train.yaml of the cascade")
    parser.add_argument("--identity", type=Path, required=True, help="identity.yaml of the cascade")
    parser.add_argument("--segmenter", type=Path, required=True, help="folder of the promptable experiment")
    parser.add_argument("--base", type=Path, required=True, help="base weights of the segmenter")
    parser.add_argument("--prompts", type=Path, required=True, help="prompts of the val and test images")
    parser.add_argument("--source", type=Path, help="folder of the experiment that made the prompts, if any")
    parser.add_argument("--prompts-timing", type=Path, help="seconds that its prompts took (JSON)")
    parser.add_argument("--source-subsets", type=Path, nargs="*", default=[], help="CSVs of its training images")
    parser.add_argument("--segmenter-subset", type=Path, required=True, help="CSV of the segmenter's training images")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the packed images")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--features", type=Path, help="folder in which features of a frozen encoder are cached")
    parser.add_argument("--code-digest", required=True, help="digest of the code, for the record")
    parser.add_argument("--val", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--test", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--run", type=Path, required=True, help="run.json to write")
    parser.add_argument("--timing", type=Path, required=True, help="timing.json to write")
    args = parser.parse_args(argv)

    load_at_start = cpu_load()
    settings = ResolvedCascade.read(args.settings)
    identity = ExperimentIdentity.read(args.identity)
    segmenter = Stage.read(args.segmenter, [args.segmenter_subset])
    source = Stage.read(args.source, args.source_subsets) if args.source else None
    split = read_names(args.split)
    record = cascade_record(identity, settings, source, segmenter, split, args.code_digest)
    model = ModelFiles(args.segmenter / "model" / "weights.safetensors", args.base, args.features)
    predictor = load_prompted(segmenter.run, model, "auto", settings.prompts.source)
    prompts = read_prompts(args.prompts, settings.prompts.source)
    outputs = {"val": args.val, "test": args.test}
    images = ImagePack.of_run(args.pack, segmenter.run)
    seconds = predict_prompted(predictor, images, split, prompts, outputs, settings.prompts.source)
    timing = timing_record(seconds, device_name(predictor.device), load_at_start)
    if args.source:
        timing = cascade_timing(timing, read_json(args.source / "timing.json"), read_json(args.prompts_timing))
    write_json(args.timing, timing)
    write_json(args.run, record)
    print(f"{identity.exp_id}: predicted {len(seconds)} images in {sum(seconds):.1f} s")


if __name__ == "__main__":
    main()

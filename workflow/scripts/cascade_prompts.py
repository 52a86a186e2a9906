"""Make prompts for one experiment from another's predictions on val and test images. Reads no label."""

import argparse
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from defectbench.config.prompts import ORACLE, PromptSettings, track_of
from defectbench.data.box_file import read_boxes
from defectbench.data.prompt_file import PromptError, write_prompts
from defectbench.data.prompts import Prompt
from defectbench.families.cascade.prompts import TimedPrompts, prompts_from_boxes, prompts_from_maps
from defectbench.files import read_json, write_json
from defectbench.inference.prediction_file import PredictionFile
from defectbench.script import run_script

KINDS = ("box", "points", "box_points", "mask")


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read predictions and the threshold selected on val; write prompts, and the time that they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="prompts.yaml of the dataset")
    parser.add_argument("--run", type=Path, required=True, help="run.json of the experiment that predicted")
    parser.add_argument("--kind", choices=KINDS, required=True, help="kind of prompt; only box with --boxes")
    predictions = parser.add_mutually_exclusive_group(required=True)
    predictions.add_argument("--boxes", type=Path, nargs="+", help="val and test boxes, of a detector")
    predictions.add_argument("--maps", type=Path, nargs="+", help="val and test predictions, of a segmentation model")
    parser.add_argument("--threshold", type=Path, required=True, help="box_threshold.json, or calibration.json of maps")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--timing", type=Path, required=True, help="to write: seconds per image (JSON)")
    args = parser.parse_args(argv)

    run, choice = read_json(args.run), read_json(args.threshold)
    exp_id = run["experiment"]["exp_id"]
    # Anything derived from the truth must not pass for a prediction.
    if run["experiment"]["track"] == track_of(ORACLE):
        raise PromptError(f"{exp_id} is itself prompted with the true masks: its maps are no predictions")
    if choice["role"] != "val":
        raise PromptError(f"{args.threshold}: selected on {choice['role']} images; only val images may be used")
    if args.boxes and args.kind != "box":
        raise PromptError(f"{exp_id} predicts only boxes, and kind {args.kind} needs masks: use kind box")
    if args.boxes:
        prompts = [prompts_from_boxes(read_boxes(path), choice["threshold"]) for path in args.boxes]
    else:
        settings = PromptSettings.read(args.settings)
        maps = [PredictionFile(path) for path in args.maps]
        prompts = [prompts_from_maps(file, choice["thresholds"], args.kind, settings) for file in maps]
    seconds: list[float] = []
    n = write_prompts(args.out, args.kind, exp_id, record_seconds(itertools.chain(*prompts), seconds))
    write_json(args.timing, {"avg_prompt_seconds": sum(seconds) / len(seconds), "n_images": len(seconds)})
    print(f"{args.out}: {n} prompts for {len(seconds)} images, source {exp_id}")


def record_seconds(timed: Iterable[TimedPrompts], seconds: list[float]) -> Iterator[tuple[str, list[Prompt]]]:
    """Yield image ids and prompts of ``timed``; the time of each image is appended to ``seconds``."""
    for image_id, prompts, image_seconds in timed:
        seconds.append(image_seconds)
        yield image_id, prompts


if __name__ == "__main__":
    main()

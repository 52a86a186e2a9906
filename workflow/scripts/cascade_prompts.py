"""Turn what one experiment found in the val and test images into prompts for another. Sees predictions, no label."""

import argparse
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from defectbench.config.prompts import ORACLE, PromptSettings, track_of
from defectbench.data.box_file import read_boxes
from defectbench.data.prediction_file import PredictionFile
from defectbench.data.prompt_file import PromptError, write_prompts
from defectbench.data.prompts import Prompt
from defectbench.families.cascade.prompts import Drawn, prompts_from_boxes, prompts_from_maps
from defectbench.files import read_json, write_json
from defectbench.script import run_script

KINDS = ("box", "points", "box_points", "mask")


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read predictions and the threshold chosen on val, write prompts and how long they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="prompts.yaml of the dataset")
    parser.add_argument("--run", type=Path, required=True, help="run.json of the experiment that predicted")
    parser.add_argument("--kind", choices=KINDS, required=True, help="kind of prompt; boxes give boxes alone")
    predictions = parser.add_mutually_exclusive_group(required=True)
    predictions.add_argument("--boxes", type=Path, nargs="+", help="val and test boxes, of a detector")
    predictions.add_argument("--maps", type=Path, nargs="+", help="val and test predictions, of any other")
    parser.add_argument("--threshold", type=Path, required=True, help="box_threshold.json, or calibration.json of maps")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--timing", type=Path, required=True, help="to write: seconds that the prompts took (JSON)")
    args = parser.parse_args(argv)

    run, chosen = read_json(args.run), read_json(args.threshold)
    exp_id = run["experiment"]["exp_id"]
    # Whatever the maps are made of: what follows from the truth must not pass for a prediction.
    if run["experiment"]["track"] == track_of(ORACLE):
        raise PromptError(f"{exp_id} was itself asked by prompts of the true masks: from it follows no prediction")
    if chosen["role"] != "val":
        raise PromptError(f"{args.threshold}: chosen on {chosen['role']} images; only val images may decide")
    if args.boxes and args.kind != "box":
        raise PromptError(f"{exp_id} gives boxes alone, no masks that {args.kind} could be drawn from: use kind box")
    if args.boxes:
        found = [prompts_from_boxes(read_boxes(path), chosen["threshold"]) for path in args.boxes]
    else:
        settings = PromptSettings.read(args.settings)
        maps = [PredictionFile(path) for path in args.maps]
        found = [prompts_from_maps(one, chosen["thresholds"], args.kind, settings) for one in maps]
    seconds: list[float] = []
    n = write_prompts(args.out, args.kind, exp_id, timed(itertools.chain(*found), seconds))
    write_json(args.timing, {"avg_prompt_seconds": sum(seconds) / len(seconds), "n_images": len(seconds)})
    print(f"{args.out}: {n} prompts for {len(seconds)} images, source {exp_id}")


def timed(found: Iterable[Drawn], seconds: list[float]) -> Iterator[tuple[str, list[Prompt]]]:
    """Image ids and prompts of ``found``; what each image took is added to ``seconds``."""
    for image_id, prompts, took in found:
        seconds.append(took)
        yield image_id, prompts


if __name__ == "__main__":
    main()

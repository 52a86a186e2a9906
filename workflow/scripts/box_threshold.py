"""Choose the score threshold of a detector's boxes on its val boxes; test boxes are refused."""

import argparse
from dataclasses import asdict
from pathlib import Path

from defectbench.data.box_file import read_boxes
from defectbench.evaluation.box_threshold import choose_box_threshold
from defectbench.evaluation.truth import read_truth
from defectbench.files import write_json
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the val boxes and write the choice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boxes", type=Path, required=True, help="val.boxes.parquet")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.parquet of the dataset")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--out", type=Path, required=True, help="box_threshold.json to write")
    args = parser.parse_args(argv)

    choice = choose_box_threshold(read_truth(args.manifest, args.split), read_boxes(args.boxes))
    write_json(args.out, asdict(choice))
    f1 = "no true box" if choice.f1 is None else f"F1 {choice.f1:.3f}"
    print(f"{args.boxes.parent.name}: score >= {choice.threshold:.3f}, {f1} on {choice.n_images} val images")


if __name__ == "__main__":
    main()

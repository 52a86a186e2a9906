"""Score the boxes of a detector on val and test: mAP50 and mAP50-95."""

import argparse
from pathlib import Path

from defectbench.data.box_file import read_boxes
from defectbench.evaluation.detection import box_metrics
from defectbench.evaluation.truth import read_truth
from defectbench.files import write_json
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read boxes and truth, write metrics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--val", type=Path, required=True, help="val.boxes.parquet")
    parser.add_argument("--test", type=Path, required=True, help="test.boxes.parquet")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.parquet of the dataset")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.json to write")
    args = parser.parse_args(argv)

    truth = read_truth(args.manifest, args.split)
    val, test = (box_metrics(truth, read_boxes(path)) for path in (args.val, args.test))
    per_class = {name: val["per_class"][name] | test["per_class"][name] for name in test["per_class"]}
    write_json(args.metrics, {"data_digest": truth.manifest.digest(), **val, **test, "per_class": per_class})
    names = [name for name in ("test_mAP50", "test_mAP50_95") if test[name] is not None]
    values = ", ".join(f"{name} {test[name]:.3f}" for name in names)
    print(f"{args.metrics.parent.name}: {test['n_test_boxes']} boxes in {test['n_test']} test images: {values}")


if __name__ == "__main__":
    main()

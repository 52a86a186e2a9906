"""Gather the folds of a cross-validated experiment.

Writes the out-of-fold predictions of every train and val image, each by the one model that was not trained on it, and
the mean of all folds' models on the test images. Refuses predictions by a model that was trained on the image or its
group.
"""

import argparse
from pathlib import Path

import pandas as pd

from defectbench.config.identity import ExperimentIdentity
from defectbench.data.cross_validation import check_unseen
from defectbench.data.splits import SplitError
from defectbench.data.tables import read_names
from defectbench.families.combined_records import mean_known
from defectbench.families.ensemble.record import combined_record, combined_timing, read_members
from defectbench.files import write_json
from defectbench.inference.ensemble import write_joined, write_mean
from defectbench.script import run_script
from defectbench.training.run_record import images_seen


@run_script
def main(argv: list[str] | None = None) -> None:
    """Check, join and average the predictions of the folds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--identity", type=Path, required=True, help="identity.yaml of the experiment")
    parser.add_argument("--folds", type=Path, nargs="+", required=True, help="folders of the folds' models")
    parser.add_argument("--training", type=Path, nargs="+", required=True, help="training.csv of each fold")
    parser.add_argument("--split", type=Path, required=True, help="split.csv of cross-validation: all val, or test")
    parser.add_argument("--code-digest", required=True, help="digest of the code, for the record")
    parser.add_argument("--oof", type=Path, required=True, help="to write: out-of-fold predictions")
    parser.add_argument("--test", type=Path, required=True, help="to write: mean predictions of the test images")
    parser.add_argument("--run", type=Path, required=True, help="run.json to write")
    parser.add_argument("--timing", type=Path, required=True, help="timing.json to write")
    args = parser.parse_args(argv)

    identity = ExperimentIdentity.read(args.identity)
    split = read_names(args.split)
    weights = [1.0] * len(args.folds)
    members = read_members(args.folds, weights)
    predicted = write_joined([folder / "val.pred.parquet" for folder in args.folds], args.oof, "val")
    for member, path, ids in zip(members, args.training, predicted, strict=True):
        seen = read_names(path)
        check_record(member.folder, member.run, seen)
        check_unseen(seen, split[split["image_id"].isin(ids)])
        check_unseen(seen, split[split["role"] == "test"])
    n_test = write_mean([folder / "test.pred.parquet" for folder in args.folds], weights, args.test, "test")
    labelled = {image_id for ids in predicted for image_id in ids}
    facts = {
        "images_seen": mean_known([member.run.get("images_seen") for member in members]),
        "n_labels_val": 0,
        "weights_path": args.run.parent.as_posix(),
        "n_folds": len(members),
    }
    record = combined_record(
        identity, members[0].run["settings"], members, labelled, **facts, code_digest=args.code_digest
    )
    write_json(args.run, record)
    write_json(args.timing, combined_timing(members))
    print(f"{identity.exp_id}: {len(labelled)} out-of-fold and {n_test} test images of {len(members)} folds")


def check_record(folder: Path, run: dict[str, object], seen: pd.DataFrame) -> None:
    """Refuse a model whose record does not say that it saw the images ``seen`` and no others.

    Raises:
        SplitError: if the record has no digest of the images, or another.
    """
    if run.get("seen_ids_sha256") != images_seen(seen["image_id"])["seen_ids_sha256"]:
        raise SplitError(
            f"{folder}/run.json does not say that the model saw the train and inner val images of its fold and no "
            "others: its out-of-fold predictions cannot be trusted; train it again"
        )


if __name__ == "__main__":
    main()

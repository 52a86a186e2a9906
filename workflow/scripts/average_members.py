"""Average the maps of an ensemble's members; members and weights are selected on val images only."""

import argparse
from dataclasses import asdict
from pathlib import Path

from defectbench.config.families.ensemble import EnsembleSettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.evaluation.members import MemberMaps, fit_weights, select_members
from defectbench.evaluation.truth import Truth, ValidationData, read_truth
from defectbench.families.ensemble.record import collect_labelled_ids, combined_record, combined_timing, read_members
from defectbench.files import write_json
from defectbench.inference.ensemble import write_mean
from defectbench.inference.prediction_file import PredictionFile
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Select and weight the members, average their maps, and add up their costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="train.yaml of the ensemble")
    parser.add_argument("--identity", type=Path, required=True, help="identity.yaml of the ensemble")
    parser.add_argument("--members", type=Path, nargs="+", required=True, help="folders of the members")
    parser.add_argument("--val-maps", type=Path, nargs="+", required=True, help="val predictions of each member")
    parser.add_argument("--test-maps", type=Path, nargs="+", required=True, help="test predictions of each member")
    parser.add_argument("--subsets", type=Path, nargs="+", required=True, help="CSV of each member's training images")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.parquet of the dataset")
    parser.add_argument("--split", type=Path, required=True, help="split.csv")
    parser.add_argument("--code-digest", required=True, help="digest of the code, for the record")
    parser.add_argument("--choice", type=Path, required=True, help="to write: members, weights, selection (JSON)")
    parser.add_argument("--val", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--test", type=Path, required=True, help="prediction file to write")
    parser.add_argument("--run", type=Path, required=True, help="run.json to write")
    parser.add_argument("--timing", type=Path, required=True, help="timing.json to write")
    args = parser.parse_args(argv)

    settings = EnsembleSettings.read(args.settings)
    identity = ExperimentIdentity.read(args.identity)
    truth = read_truth(args.manifest, args.split)
    weights, choice = choose_weights(settings, args.val_maps, truth)
    members = read_members(args.members, weights)
    for role, paths, out in (("val", args.val_maps, args.val), ("test", args.test_maps, args.test)):
        write_mean(paths, weights, out, role)
    facts = {"code_digest": args.code_digest, "weights_path": args.run.parent.as_posix()}
    labelled = collect_labelled_ids(members, dict(zip(args.members, args.subsets, strict=True)))
    selected_on = truth.ids("val") if settings.learns_from_val else ()
    record = combined_record(identity, settings.model_dump(mode="json"), members, labelled, selected_on, **facts)
    write_json(args.run, record)
    write_json(args.timing, combined_timing(members))
    names = [folder.name for folder in args.members]
    write_json(args.choice, {"members": names, "weights": weights, **choice})
    summary = [f"{weight:.3f} {name}" for name, weight in zip(names, weights, strict=True) if weight > 0]
    print(f"{identity.exp_id}: {'; '.join(summary)}")


def choose_weights(settings: EnsembleSettings, val: list[Path], truth: Truth) -> tuple[list[float], dict[str, object]]:
    """The weight of each member, 0 for those left out, and the steps of the selection, for ensemble.json."""
    selected, choice = list(range(len(val))), dict[str, object]()

    def read_maps() -> MemberMaps:
        return MemberMaps([ValidationData(PredictionFile(val[member]), truth) for member in selected])

    if settings.choose is not None:
        steps = select_members(read_maps(), settings.choose)
        selected, choice = sorted(step.added for step in steps), {"selection": [asdict(step) for step in steps]}
    is_fitted = settings.weights == "fitted"
    values = fit_weights(read_maps(), settings.seed).tolist() if is_fitted else [1 / len(selected)] * len(selected)
    weights = dict(zip(selected, values, strict=True))
    return [weights.get(member, 0.0) for member in range(len(val))], choice


if __name__ == "__main__":
    main()

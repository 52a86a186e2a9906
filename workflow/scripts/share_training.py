"""Copy the training of an experiment that differs only in its prediction settings.

Writes the same weights and history.csv, and run.json with this experiment's name and settings.
"""

import argparse
import shutil
from pathlib import Path

import yaml

from defectbench.config.identity import ExperimentIdentity
from defectbench.digests import atomic_with_digest
from defectbench.files import atomic, read_json, write_json
from defectbench.script import run_script

WEIGHTS = Path("model", "weights.safetensors")


@run_script
def main(argv: list[str] | None = None) -> None:
    """Copy weights and history, and write the record under this experiment's name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trained", type=Path, required=True, help="folder of the experiment, or fold, that trained")
    parser.add_argument("--identity", type=Path, required=True, help="identity.yaml of this experiment")
    parser.add_argument("--settings", type=Path, required=True, help="train.yaml of this experiment")
    parser.add_argument("--folder", type=Path, required=True, help="folder of this experiment, to write to")
    args = parser.parse_args(argv)

    identity = ExperimentIdentity.read(args.identity)
    for name, write in ((WEIGHTS, atomic_with_digest), (Path("history.csv"), atomic)):
        with write(args.folder / name) as temporary:
            shutil.copyfile(args.trained / name, temporary)
    run = read_json(args.trained / "run.json")
    run["experiment"] |= identity.model_dump(mode="json")
    recorded = {key: value for key, value in run["settings"].items() if key == "init_from"}
    run["settings"] = yaml.safe_load(args.settings.read_text(encoding="utf-8")) | recorded
    if run["weights_path"] == (args.trained / WEIGHTS).as_posix():
        run["weights_path"] = (args.folder / WEIGHTS).as_posix()
    write_json(args.folder / "run.json", run | {"trained_in": args.trained.as_posix()})
    print(f"{identity.exp_id}: trained in {args.trained}")


if __name__ == "__main__":
    main()

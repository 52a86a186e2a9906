"""A training on two devices as a script, which Lightning runs once more for the second; test_devices.py calls it."""

import argparse
import os
import signal
from pathlib import Path

import torch
from tiny_training import Squares, WithoutNorm, run_fit, settings

from defectbench.files import write_json
from defectbench.script import run_script
from defectbench.training.losses import make_loss
from defectbench.training.state import training_state
from defectbench.training.task import SegmentationTask

SETTINGS = {"loss": "bce", "steps": 6, "eval_every": 2, "batch_size": 4, "accumulate": 2}


def train(state: Path, make_task=None, **keys):
    torch.manual_seed(0)
    config = settings(**SETTINGS, **keys)
    return run_fit("x", WithoutNorm(), make_loss("bce"), Squares(12), Squares(8), config, state, make_task=make_task)


def listening() -> list[str]:
    """Addresses at which this process takes connections, as in /proc: hexadecimal, 0100007F is 127.0.0.1."""
    links = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    ours = {link[8:-1] for link in links if link.startswith("socket:[")}
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return [row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in ours]


@run_script
def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--kill", help="number of the process that dies in step 3")
    args = parser.parse_args(argv)

    class Killed(SegmentationTask):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            super().on_train_batch_end(outputs, batch, batch_idx)
            if self.global_step == 1:
                found = {"listening": listening(), "folder": os.environ.get("DEFECTBENCH_PROCESS_GROUP")}
                write_json(args.folder / f"connections_{os.environ['LOCAL_RANK']}.json", found)
            if self.global_step == 3 and os.environ["LOCAL_RANK"] == args.kill:
                os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    with training_state(args.folder / "state", "key") as state:
        result = train(state, Killed, devices=2)
        torch.save((result.history, result.weights["last"]), args.folder / f"result_{os.environ['LOCAL_RANK']}")


if __name__ == "__main__":
    main()

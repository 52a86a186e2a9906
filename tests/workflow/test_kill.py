"""One training, killed with SIGKILL again and again, ends with the same metrics as an undisturbed one."""

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from chaos import VICTIMS, resume, run_and_kill

from defectbench.config.study import load_study
from defectbench.files import read_json

BUDGET = {"steps": 40, "eval_every": 2, "patience": 50}
EXPERIMENT = {"model": "unet", "subset": 10, "lr": 0.01, "loss": "dice_bce", "seed": 3, **BUDGET}
COMPARED = ("metrics.json", "model/weights.safetensors", "checkpoints/last.safetensors")


def in_training(lock: Path, seconds: float) -> Callable[[], bool]:
    """Whether the training that takes ``lock`` next has run for some seconds."""
    started = time.time()

    def reached() -> bool:
        taken = lock.stat().st_mtime if lock.is_file() else 0.0
        return taken > started and time.time() - taken > seconds

    return reached


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_training_killed_at_random_moments_ends_as_an_undisturbed_one(clean, kills):
    config = clean.config(experiments=[EXPERIMENT])
    (experiment,) = load_study(yaml.safe_load((clean.folder / config).read_text())).experiments
    name = f"runs/tiny_steel/unet/{experiment.exp_id}"
    folder, metrics = clean.folder / name, f"{name}/metrics.json"
    resume(clean, metrics, configfile=config)
    wanted = {path: (folder / path).read_bytes() for path in COMPARED}
    seconds = read_json(folder / "run.json")["train_seconds"]
    shutil.rmtree(folder)

    rng, killed = random.Random(kills), 0
    for kill in range(kills):
        moment = in_training(folder / "state" / "lock", rng.uniform(0, 1.5 * seconds / kills))
        killed += run_and_kill(clean, VICTIMS[kill % len(VICTIMS)], moment, metrics, configfile=config)
        clean.snakemake("--unlock", configfile=config)
    assert killed > 0
    resume(clean, metrics, configfile=config)
    assert {path: (folder / path).read_bytes() for path in wanted} == wanted
    assert not list((folder / "state").glob("*/"))

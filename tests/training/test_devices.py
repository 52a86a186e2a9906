"""One training on several devices: here two processes on a CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import several_devices
import torch
from offline_processes import python_path
from pydantic import ValidationError
from tiny_study import ROOT
from tiny_training import settings

from defectbench.files import read_json
from defectbench.training.devices import device_options
from defectbench.training.state import TrainingError

LOOPBACK = "0100007F"
"""127.0.0.1, as /proc/net/tcp has it."""
TIMED = ["epoch_time", "images_per_second", "data_wait_share", "peak_memory"]


@pytest.mark.parametrize("killed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_training_on_two_devices_killed_and_resumed_ends_as_on_one(tmp_path, killed):
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    def call(*more):
        script = ROOT / "tests" / "support" / "several_devices.py"
        command = [sys.executable, "-m", "defectbench.on_gpu", "--devices", "2", "--usage", tmp_path / "usage.json"]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPATH": python_path(ROOT / "workflow", ROOT / "tests" / "support")}
        environment["TMPDIR"] = str(temporary)
        command += [script, "--folder", tmp_path, *more]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    # Returns when both processes have ended, since both hold the ends of the pipes.
    done = call("--kill", str(killed))
    assert done.returncode != 0
    assert done.stdout.count("x  step") == 1, done.stderr
    assert not list(tmp_path.glob("result_*"))
    left = sorted(temporary.glob("defectbench-processes-*"))

    done = call()
    assert done.returncode == 0, done.stderr
    history, weights = torch.load(tmp_path / "result_0", weights_only=False)
    assert not (tmp_path / "result_1").exists()
    assert not list((tmp_path / "state").glob("*/"))
    one = several_devices.train(tmp_path / "one")
    assert history["step"].tolist() == [0, 2, 4, 6]
    pd.testing.assert_frame_equal(history.drop(columns=TIMED), one.history.drop(columns=TIMED), rtol=1e-4)
    for name, values in one.weights["last"].items():
        torch.testing.assert_close(weights[name], values)
    assert sorted(temporary.glob("defectbench-processes-*")) == left
    # The other intervals, each said once.
    assert done.stdout.count("x  step") == 2

    for rank in (0, 1):
        found = read_json(tmp_path / f"connections_{rank}.json")
        assert set(found["listening"]) == {LOOPBACK}
        assert Path(found["folder"]).parent == temporary


def test_every_device_has_the_same_number_of_images(monkeypatch):
    with pytest.raises(ValidationError, match="batch_size 4 does not divide among 3 devices"):
        settings(devices=3)
    with pytest.raises(ValidationError, match="batch_size must be at least 2 for each device"):
        settings(model="deeplabv3", batch_size=2, devices=2)
    # Three training images are one batch, whatever batch_size says.
    with pytest.raises(TrainingError, match="all 3 training images, not a multiple of devices: 2"):
        device_options(settings(devices=2), 3)


def test_fewer_gpus_than_devices_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(TrainingError, match=r"this job has 1 GPU\(s\): call Snakemake with --resources gpu=2"):
        device_options(settings(devices=2), 4)

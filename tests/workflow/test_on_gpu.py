"""The lease of a GPU: one device per job, given back by the kernel, honouring what is visible from outside."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_study import ROOT

from defectbench import on_gpu

HOLD = """
import sys, time
from pathlib import Path
from defectbench.on_gpu import leased_gpus
with leased_gpus(int(sys.argv[2]), Path(sys.argv[1])) as devices:
    print(devices, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold(tmp_path):
    """Start a process that holds one or more devices of "0,1", or waits for them."""
    started = []

    def start(n=1, devices="0,1"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "CUDA_VISIBLE_DEVICES": devices}
        command = [sys.executable, "-c", HOLD, str(tmp_path), str(n)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def no_smi(monkeypatch):
    monkeypatch.setattr(on_gpu, "_physical_devices", list)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(on_gpu, "_physical_devices", lambda: ["GPU-a", "GPU-b"])


def test_two_jobs_get_two_devices_and_a_third_waits_until_one_is_killed(hold):
    first, second = hold(), hold()
    devices = {first: first.stdout.readline().strip(), second: second.stdout.readline().strip()}
    assert sorted(devices.values()) == ["0", "1"]
    third = hold()
    message = third.stderr.readline()
    assert message.startswith("Waiting for a GPU: ")
    assert f"0 by process {next(p.pid for p in devices if devices[p] == '0')}" in message
    second.kill()
    assert third.stdout.readline().strip() == devices[second]


def test_a_job_that_waits_for_two_devices_leaves_the_free_one_to_others(hold):
    first = hold()
    first.stdout.readline()
    both = hold(n=2)
    assert both.stderr.readline().startswith("Waiting for a GPU: ")
    another = hold()
    assert another.stdout.readline().strip() in ("0", "1")
    first.kill()
    another.kill()
    assert both.stdout.readline().strip() == "0,1"


def test_a_job_that_needs_more_devices_than_there_are_gets_all(no_smi, monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-x,GPU-y")
    with on_gpu.leased_gpus(3, tmp_path) as devices:
        assert devices == "GPU-x,GPU-y" == os.environ["CUDA_VISIBLE_DEVICES"]


def test_the_job_sees_its_device_alone(no_smi, monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-x,GPU-y")
    with on_gpu.leased_gpus(1, tmp_path) as device:
        assert device == "GPU-x" == os.environ["CUDA_VISIBLE_DEVICES"]


def test_without_a_gpu_nothing_is_leased(no_smi, monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with on_gpu.leased_gpus(1, tmp_path) as device:
        assert device is None
        assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("outer", "expected"),
    [
        (None, ["GPU-a", "GPU-b"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("1", ["GPU-b"]),
        ("1,0", ["GPU-b", "GPU-a"]),
        ("0,-1,1", ["GPU-a"]),
        ("GPU-b", ["GPU-b"]),
        ("MIG-c", ["MIG-c"]),
    ],
)
def test_devices_are_those_visible_from_outside(two_gpus, monkeypatch, outer, expected):
    if outer is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", outer)
    assert on_gpu.visible_devices() == expected


def test_the_listing_of_nvidia_smi_is_read_with_slices_in_place_of_their_gpu(monkeypatch, tmp_path):
    listing = (
        "GPU 0: NVIDIA A100 (UUID: GPU-5c89852c)\n  MIG 3g.20gb Device 0: (UUID: MIG-b7374294)\n"
        "  MIG 3g.20gb Device 1: (UUID: MIG-7f348ff1)\nGPU 1: NVIDIA A100 (UUID: GPU-158adab1)\n"
    )
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{listing}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert on_gpu.visible_devices() == ["MIG-b7374294", "MIG-7f348ff1", "GPU-158adab1"]


def test_a_folder_of_programs_that_cannot_be_searched_is_one_without_nvidia_smi(monkeypatch):
    # As root no folder is closed, so the answer of the system is given here.
    def closed(*args, **kwargs):
        raise PermissionError(13, "Permission denied", "nvidia-smi")

    monkeypatch.setattr(on_gpu.subprocess, "run", closed)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert on_gpu.visible_devices() == []
    usage = on_gpu.Usage("0")
    usage.start()
    assert usage.end() == {"gpu_utilisation_mean": None, "gpu_memory_peak_bytes": None}


def test_usage_is_mean_utilisation_and_peak_memory(monkeypatch):
    monkeypatch.setattr(on_gpu, "POLL_SECONDS", 0.001)
    seen = iter([(10.0, 100.0), (50.0, 300.0), (30.0, 200.0)])

    def query(device):
        return next(seen, None) or (_ for _ in ()).throw(ValueError)

    usage = on_gpu.Usage("0", query)
    usage.start()
    while usage.is_alive():
        time.sleep(0.001)
    assert usage.end() == {"gpu_utilisation_mean": 30.0, "gpu_memory_peak_bytes": 300 * 2**20}


def test_of_several_devices_usage_is_the_mean_and_the_fullest_memory(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\n[ "$2" = GPU-a,GPU-b ] && printf "10, 100\\n50, 300\\n"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    usage = on_gpu.Usage("GPU-a,GPU-b")
    usage.start()
    while not usage.memory and usage.is_alive():
        time.sleep(0.001)
    assert usage.end() == {"gpu_utilisation_mean": 30.0, "gpu_memory_peak_bytes": 300 * 2**20}


def run(tmp_path: Path, program: str) -> subprocess.CompletedProcess:
    script = tmp_path / "script.py"
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "CUDA_VISIBLE_DEVICES": "1"}
    environment["TMPDIR"] = str(tmp_path)
    command = [sys.executable, "-m", "defectbench.on_gpu", "--usage", tmp_path / "usage.json", script, "--a", "b c"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_script_runs_as_if_called_itself_and_leaves_a_record(tmp_path):
    program = (
        "import os, sys\nif __name__ == '__main__':\n    print(sys.argv[1:], os.environ['CUDA_VISIBLE_DEVICES'])\n"
    )
    assert run(tmp_path, program).stdout == "['--a', 'b c'] 1\n"
    record = json.loads((tmp_path / "usage.json").read_text())
    assert record["device"] == "1"
    assert record["started"] <= record["ended"]


def test_a_scripts_exit_status_and_message_are_its_own(tmp_path):
    done = run(tmp_path, "import sys\nsys.exit('no images')\n")
    assert (done.returncode, done.stderr) == (1, "no images\n")
    assert not (tmp_path / "usage.json").exists()

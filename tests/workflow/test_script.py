"""How every script ends: a message for what the user can act on, a traceback for bugs, and never after its run."""

import errno
import os
import subprocess
import sys
import time
from textwrap import indent

import pytest
from small_disk import small_disk
from tiny_study import ROOT

from defectbench.script import UserError, run_script


def raised_from(cause: Exception, error: Exception) -> Exception:
    error.__context__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("labels.csv: no such file"), "labels.csv: no such file"),
        (OSError(errno.ENOSPC, "No space left on device", "x.parquet"), "The disk is full"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "The disk is full"),
        (RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 64 vs 0"), "The disk is full"),
        (raised_from(OSError(errno.ENOSPC, "full"), RuntimeError("write failed")), "The disk is full"),
        (MemoryError(), "Out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "Out of memory"),
    ],
)
def test_what_the_user_can_act_on_is_a_message(error, message, capsys):
    @run_script
    def main(argv):
        raise error

    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith(message)


def test_a_bug_keeps_its_traceback():
    @run_script
    def main(argv):
        raise KeyError("bug")

    with pytest.raises(KeyError):
        main([])


JOB = """
import time
from defectbench.script import run_script
@run_script
def main(argv):
    print("started", flush=True)
    time.sleep(60)
main([])
"""


def test_a_message_gives_no_commands_to_the_terminal(capsys):
    @run_script
    def main(argv):
        raise UserError("labels/\x1b[2J\x9b1m\u202egnp.a\r:\x07 no such class\n\tGröße 👨‍👩‍👧 \udcff")

    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().err == (
        "labels/\\x1b[2J\\x9b1m\\u202egnp.a\\r:\\x07 no such class\n\tGröße 👨‍👩‍👧 \\udcff\n"
    )


def test_a_job_whose_run_is_gone_does_nothing(monkeypatch):
    run = subprocess.Popen(["true"])
    run.wait()
    monkeypatch.setenv("DEFECTBENCH_RUN", str(run.pid))

    @run_script
    def main(argv):
        pytest.fail("started")

    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 1


SLOW_IMPORTS = """
from pathlib import Path
Path("imports").touch()
import time
time.sleep(60)  # as long as libraries take on a busy machine
"""


@pytest.mark.parametrize("starter", [["defectbench.job"], ["defectbench.on_gpu", "--usage", "usage.json"]])
@pytest.mark.parametrize("dies", ["before", "during"])
def test_a_job_whose_run_dies_ends_before_its_libraries_are_loaded(tmp_path, starter, dies):
    run = subprocess.Popen(["true"] if dies == "before" else ["sleep", "60"])
    if dies == "before":
        run.wait()
    (tmp_path / "script.py").write_text(SLOW_IMPORTS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "DEFECTBENCH_RUN": str(run.pid)}
    job = subprocess.Popen([sys.executable, "-m", *starter, "script.py"], cwd=tmp_path, env=environment)
    try:
        if dies == "during":
            while not (tmp_path / "imports").exists():
                time.sleep(0.05)
            run.kill()
            run.wait()
        assert job.wait(timeout=20) == 1
        assert (tmp_path / "imports").exists() == (dies == "during")
    finally:
        run.kill()
        job.kill()


def test_every_rule_starts_its_script_as_a_job():
    starts = [line for path in (ROOT / "rules").glob("*.smk") for line in path.read_text().splitlines()]
    starts = [line.strip() for line in starts if '"python ' in line]
    modules = ("-m defectbench.job ", "-m defectbench.on_gpu ", "{params.launcher} ")
    assert len(starts) > 30
    assert [line for line in starts if not line.startswith(tuple(f'"python {module}' for module in modules))] == []


def test_a_job_ends_soon_after_its_run_was_killed():
    run = subprocess.Popen(["sleep", "60"])
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "DEFECTBENCH_RUN": str(run.pid)}
    job = subprocess.Popen([sys.executable, "-c", JOB], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert job.stdout.readline() == "started\n"
        time.sleep(0.2)
        assert job.poll() is None
        run.kill()
        run.wait()
        assert job.wait(timeout=20) == 1
    finally:
        run.kill()
        job.kill()
        job.stdout.close()


# How libraries write what may be large: plain bytes, a checkpoint, a prediction file.
WRITERS = {
    "bytes": (
        "from defectbench.files import atomic\nwith atomic(path) as temporary:\n    temporary.write_bytes(bytes(size))"
    ),
    "checkpoint": (
        "import torch\nfrom defectbench.training.checkpoints import AtomicCheckpoints\n"
        "AtomicCheckpoints().save_checkpoint({'weights': torch.zeros(size // 4)}, path)"
    ),
    "predictions": (
        "import numpy as np\nfrom defectbench.inference.prediction_file import PredictionHeader, write_predictions\n"
        "codes = np.random.default_rng(0).integers(0, 65536, (1, 1, size // 2)).astype(np.uint16)\n"
        "with write_predictions(path, PredictionHeader('val', ('a',), True)) as writer:\n    writer.add('1.png', codes)"
    ),
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_is_said_with_the_file_and_leaves_the_one_before(tmp_path, writer):
    def write(size: int) -> subprocess.CompletedProcess:
        program = (
            "from pathlib import Path\nfrom defectbench.script import run_script\n"
            f"path, size = Path('large.pred.parquet'), {size}\n@run_script\ndef main(argv):\n"
            f"{indent(writer, '    ')}\nmain([])\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
        command = [sys.executable, "-c", program]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    with small_disk(tmp_path, "1m"):
        assert write(2**18).returncode == 0
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        full = write(2**22)
        assert full.returncode == 1
        assert full.stderr.startswith("The disk is full. Free some space, then run the same command again"), full.stderr
        assert full.stderr.endswith("; while writing large.pred.parquet\n")
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_too_little_memory_is_said():
    program = (
        "import resource\nfrom defectbench.script import run_script\n@run_script\ndef main(argv):\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n    bytearray(2**32)\nmain([])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.split(".")[0]) == (1, "Out of memory")

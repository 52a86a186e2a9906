"""Messages and results of a run in which jobs fail, such as without published weights and without a network."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from snakemake_interface_logger_plugins.common import LogEvent
from tiny_study import ROOT

from defectbench.config.study import load_study
from defectbench.job_failures import ADVICE, JobFailures

# A network that predicts otherwise by the training that is there, and one that is made from nothing.
HAVE = [{"model": "unet", "subset": 10, "tta": "hflip"}, {"model": "all_empty", "seed": 5}]
ABSENT = [
    {"model": "yolov8-seg", "weights": "coco", "img_size": "96"},
    {"model": "yolo11", "weights": "coco", "img_size": "96"},
    {"model": "sam2"},
]
FILES = {"yolov8n-seg": "yolov8n-seg.pt", "yolo11n": "yolo11n.pt", "sam2.1_hiera_tiny": "sam2.1_hiera_tiny.pt"}
# A small workflow in which one job fails for good and one in its first attempt only.
SMALL = f"""
include: "{ROOT}/rules/setup.smk"
include: "{ROOT}/rules/failures.smk"

rule all:
    input: "good", "bad", "late"

rule good:
    output: "good"
    log: "good.log"
    shell: "echo fine | tee {{log}} {{output}}"

rule bad:
    output: "bad"
    log: "bad.log"
    shell: "(seq 100; echo no such thing; exit 1) 2>&1 | tee {{log}}"

rule late:
    output: "late"
    log: "late.log"
    retries: 1
    resources: attempt=lambda wildcards, attempt: attempt
    shell: "(test {{resources.attempt}} = 2 && touch {{output}}) 2>&1 | tee {{log}}"

onerror:
    print_failures(["runs/a/metrics.json", "good"])
"""


@pytest.fixture
def failures(tmp_path, monkeypatch):
    """What collects the failures of a run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return JobFailures()


def fail(failures, job, log=(), output=("never_made",)):
    """Log the failure of a job as Snakemake does."""
    record = {"event": LogEvent.JOB_ERROR, "jobid": job, "log": list(log), "output": list(output)}
    failures.handle(logging.makeLogRecord(record))


def write(name, *lines):
    Path(name).write_text("\n".join(lines))
    return name


def test_without_failures_nothing_is_said(failures):
    failures.handle(logging.makeLogRecord({"msg": "no event"}))
    failures.handle(logging.makeLogRecord({"event": LogEvent.JOB_INFO, "jobid": 1}))
    assert failures.summary(["a/metrics.json"]) is None


def test_a_job_that_a_later_attempt_finished_has_not_failed(failures):
    fail(failures, 1, output=[write("made")])
    fail(failures, 2, output=["made", "not_made"])
    assert failures.unrecovered() == [[]]


def test_a_job_that_failed_twice_is_one(failures):
    log = write("x.log", "second attempt")
    fail(failures, 1, [log])
    fail(failures, 1, [log])
    assert failures.unrecovered() == [[log]]
    assert "Failed: 1 job(s)." in failures.summary([])


def test_the_summary_has_the_ends_of_some_logs_and_the_names_of_the_others(failures):
    logs = [write(f"{number}.log", *(f"line {line} of {number}" for line in range(40))) for number in range(7)]
    logs[1] = write("1.log", "")
    for job, log in enumerate(logs):
        fail(failures, job, [log, f"{log}.never_written"])
    summary = failures.summary([])
    assert "Failed: 7 job(s). The last lines of their logs:\n\n0.log\n  line 28 of 0\n" in summary
    assert "  line 39 of 0\n\n1.log\n  (empty)\n\n2.log\n" in summary
    assert "line 27 of" not in summary
    assert summary.count("  line 39 of") == 4
    assert "Further logs:\n5.log\n6.log\n\n" in summary
    assert "never_written" not in summary
    assert summary.endswith(ADVICE)


@pytest.mark.parametrize(
    ("present", "named"), [((), []), (("a",), ["b", "c"]), (("a", "b"), ["c"]), (("a", "b", "c"), [])]
)
def test_experiments_without_scores_are_named_unless_none_has_any(failures, present, named):
    for experiment in present:
        Path(experiment).mkdir()
        write(f"{experiment}/metrics.json", "{}")
    fail(failures, 1)
    summary = failures.summary([f"{experiment}/metrics.json" for experiment in "abc"])
    _, _, rest = summary.partition("Experiments without scores:\n")
    assert rest.removesuffix(ADVICE).split() == named


def test_a_run_ends_with_the_last_lines_of_what_failed_for_good(tmp_path):
    (tmp_path / "Snakefile").write_text(SMALL)
    snakemake = Path(sys.executable).with_name("snakemake")
    command = [snakemake, "--cores", "1", "--keep-going", "--quiet", "rules", "progress"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert (tmp_path / "good").exists()
    assert (tmp_path / "late").exists()
    summary = done.stderr[done.stderr.index("Failed: 1 job(s)") :]
    assert "bad.log\n  90\n" in summary
    assert "  100\n  no such thing\n" in summary
    assert "late.log" not in summary
    assert "without scores:\nruns/a\n" in summary


@pytest.fixture(scope="module")
def offline(project):
    """The project after a run in which no published weights were to be had; what the run printed; its experiments."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            for variable in (name, name.upper()):
                patch.setenv(variable, "http://127.0.0.1:9")  # nobody listens there
        for variable in ("no_proxy", "NO_PROXY"):
            patch.delenv(variable, raising=False)
        config = project.config(study="offline", experiments=HAVE + ABSENT)
        done = project.snakemake("--cores", "2", "--keep-going", configfile=config)
    experiments = load_study(yaml.safe_load((project.folder / config).read_text())).experiments
    yield project, done, {experiment.exp_id: experiment for experiment in experiments}
    shutil.rmtree(project.folder / "results/offline")


def test_without_weights_and_network_all_else_is_made(offline):
    project, done, experiments = offline
    assert done.returncode != 0
    scored = {path.parent.name for path in project.folder.glob("runs/*/*/*/metrics.json")} & set(experiments)
    assert {experiments[name].family for name in scored} == {"unet", "reference"}
    assert len(scored) == len(HAVE)
    assert not list(project.folder.glob("weights/*.safetensors"))


def test_the_last_thing_said_is_which_files_are_absent_where_from_and_where_to(offline):
    project, done, experiments = offline
    listing = yaml.safe_load((project.folder / "resources/weights.yaml").read_text())
    assert "Traceback" not in done.stdout + done.stderr
    summary = done.stderr[done.stderr.index(f"Failed: {len(ABSENT)} job(s)") :]
    for name, file in FILES.items():
        for part in (f"weights are absent: {file}", listing[name]["url"], listing[name]["sha256"]):
            assert part in summary
        assert f"put the file at weights/official/{file}" in summary
    listed = summary[summary.index("without scores:\n") :].split("\n\n")[0].splitlines()[1:]
    assert sorted(map(os.path.basename, listed)) == sorted(
        name for name, experiment in experiments.items() if experiment.family in ("yolo", "sam2")
    )
    after = summary[summary.index("When a job fails'.\n") :].split("\n", 1)[1]
    assert len(after.split()) < 20  # Snakemake's own last words


def test_a_leaderboard_of_the_rest_needs_no_training(offline):
    project, _, experiments = offline
    config = project.config(study="offline", experiments=HAVE)
    jobs = project.stale(configfile=config)
    assert not any(name.startswith(("train_", "predict_", "calibrate", "score")) for name in jobs)
    done = project.snakemake("results/offline/leaderboard.md", "--cores", "2", configfile=config)
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(project.folder / "results/offline/results.csv")
    assert set(table["exp_id"]) == {name for name in experiments if experiments[name].family in ("unet", "reference")}

"""Progress of a run in the terminal."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake_interface_logger_plugins.common import LogEvent
from tiny_study import ROOT

from defectbench import job_progress
from defectbench.job_progress import JobProgress

SMALL = f"""
include: "{ROOT}/rules/setup.smk"
include: "{ROOT}/rules/progress.smk"

rule both:
    input: "first", "second"

rule any:
    output: "{{name}}"
    wildcard_constraints: name="first|second"
    shell: "echo making {{wildcards.name}}; touch {{output}}"
"""
SCHEDULER = {"module": "job_scheduler", "lineno": 10}


def record(event: LogEvent | None = None, **fields) -> logging.LogRecord:
    """A record as Snakemake logs it."""
    return logging.makeLogRecord({"msg": "text", "levelno": logging.INFO, "event": event, **fields})


def started(job: int, rule: str) -> logging.LogRecord:
    return record(LogEvent.JOB_INFO, jobid=job, rule_name=rule)


@pytest.fixture
def clock(monkeypatch):
    """The seconds of the module's clock, as a list of one."""
    now = [100.0]
    monkeypatch.setattr(job_progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_of_progress_has_the_jobs_that_finished_since_the_last_with_their_seconds(clock):
    progress = JobProgress()
    for job, rule in enumerate(("ingest", "split", "pack")):
        assert progress.filter(started(job, rule))
        clock[0] += 1
    texts = []
    for jobs in ((2, 0), (1,)):
        assert not any(progress.filter(record(LogEvent.JOB_FINISHED, job_id=job)) for job in jobs)
        line = record(LogEvent.PROGRESS, done=3 - len(jobs), total=4)
        assert progress.filter(line)
        assert line.event is None, "printed as it is"
        texts.append(line.getMessage())
    assert texts == ["[1/4] pack, 1 s; ingest, 3 s", "[2/4] split, 2 s"]


def test_a_second_attempt_counts_from_its_own_start(clock):
    progress = JobProgress()
    progress.filter(started(1, "train_unet"))
    clock[0] += 60
    progress.filter(started(1, "train_unet"))
    clock[0] += 5
    progress.filter(record(LogEvent.JOB_FINISHED, job_id=1))
    progress.filter(line := record(LogEvent.PROGRESS, done=1, total=1))
    assert line.getMessage() == "[1/1] train_unet, 5 s"


def test_a_warning_of_the_scheduler_is_printed_even_if_it_comes_first():
    progress = JobProgress()
    assert progress.filter(record(levelno=logging.WARNING, module="job_scheduler", lineno=5))
    assert not progress.filter(record(**SCHEDULER))


def test_a_job_whose_start_was_not_logged_is_counted_and_not_named():
    progress = JobProgress()
    assert not progress.filter(record(LogEvent.JOB_FINISHED, job_id=7))
    progress.filter(line := record(LogEvent.PROGRESS, done=1, total=2))
    assert line.getMessage() == "[1/2] "


def test_of_the_scheduler_only_its_announcements_are_dropped_whatever_their_words():
    progress = JobProgress()
    assert not progress.filter(record(**SCHEDULER, msg="choisir des tâches"))
    assert not progress.filter(record(LogEvent.JOB_STARTED, **SCHEDULER))
    assert not progress.filter(record(**SCHEDULER, msg="encore"))
    assert progress.filter(record(**SCHEDULER | {"lineno": 20}, msg="terminating"))


@pytest.mark.parametrize(
    "event", [event for event in LogEvent if event not in (LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED)]
)
def test_every_other_event_is_printed(event):
    fields = {"jobid": 1, "rule_name": "x", "done": 1, "total": 1}
    assert JobProgress().filter(record(event, **fields))


def test_messages_of_others_are_printed_unchanged():
    message = record(module="slurm", lineno=10, msg="Job 1 has been submitted")
    plain = logging.makeLogRecord({"msg": "no event at all", "module": "workflow"})
    progress = JobProgress()
    for _ in range(2):
        assert progress.filter(message)
        assert progress.filter(plain)
    assert message.getMessage() == "Job 1 has been submitted"


def printed(folder: Path, *options: str) -> str:
    (folder / "Snakefile").write_text(SMALL)
    snakemake = Path(sys.executable).with_name("snakemake")
    done = subprocess.run([snakemake, "--cores", "1", *options], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_a_run_prints_a_line_per_finished_job_and_none_about_choosing_them(tmp_path):
    output = printed(tmp_path, "--quiet", "rules")
    lines = re.findall(r"^(\[.*), \d+ s$", output, re.M)
    assert lines == ["[1/3] any", "[2/3] any", "[3/3] both"]
    assert "making second" in output
    assert re.search(r"^total +3$", output, re.M), "the table of jobs"
    assert not re.search(r"^(Select|Execute|Finished) |steps", output, re.M)


@pytest.mark.parametrize("quiet", [(), ("--quiet", "host")])
def test_snakemakes_own_lines_where_they_are_wanted(quiet, tmp_path):
    output = printed(tmp_path, *quiet)
    assert "3 of 3 steps (100%) done" in output
    assert "Select jobs" in output
    assert "[3/3]" not in output

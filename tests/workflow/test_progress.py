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
from defectbench.benchmark_files import past_seconds
from defectbench.job_progress import JobProgress, duration

SMALL = f"""
DS = "steel"
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


def finish(progress: JobProgress, job: int, done: int) -> str:
    """The line of progress after a job has finished."""
    progress.filter(record(LogEvent.JOB_FINISHED, job_id=job))
    progress.filter(line := record(LogEvent.PROGRESS, done=done, total=9))
    return line.getMessage().partition("; ")[2]


def test_the_rest_takes_what_the_jobs_of_this_run_took_or_else_past_ones_as_many_at_a_time_as_so_far(clock):
    progress = JobProgress({"score": 30.0, "train": 9000.0, "all": 0.0}.get)
    progress.filter(record(LogEvent.RUN_INFO, stats={"train": 4, "score": 4, "all": 1, "total": 9}))
    progress.filter(started(1, "train"))
    progress.filter(started(2, "train"))
    clock[0] += 600
    # Three trainings of 600 s, one of which has run for 600 s, and four of 30 s: 1,320 s, two at a time.
    assert finish(progress, 1, done=1) == "about 11 min left"
    assert finish(progress, 2, done=2) == "about 11 min left"
    progress.filter(started(3, "train"))
    clock[0] += 600
    # A training and four of 30 s; three jobs of 600 s in 1,200 s: one and a half at a time.
    assert finish(progress, 3, done=3) == "about 8 min left"


def test_of_rules_that_never_ran_nothing_is_said_but_that_it_takes_longer(clock):
    progress = JobProgress({"all": 0.0}.get)
    progress.filter(record(LogEvent.RUN_INFO, stats={"pack": 1, "train": 2, "all": 1, "total": 4}))
    progress.filter(started(1, "pack"))
    clock[0] += 5
    assert finish(progress, 1, done=1) == ""
    for job in (2, 3):
        progress.filter(started(job, "train"))
        clock[0] += 40
    assert finish(progress, 2, done=2).startswith("about ")
    progress = JobProgress()
    progress.filter(record(LogEvent.RUN_INFO, stats={"pack": 1, "train": 2, "total": 3}))
    progress.filter(started(1, "train"))
    clock[0] += 7200
    assert finish(progress, 1, done=1) == "at least 2 h 0 min left"


def test_seconds_of_past_jobs_are_those_of_the_rule_on_the_dataset(tmp_path):
    for path, seconds in {
        "runs/steel/unet/a/benchmarks/train_unet.tsv": "10",
        "runs/steel/unet/b/benchmarks/train_unet.tsv": "30",
        "runs/steel/unet/b/fold0/benchmarks/train_unet.tsv": "20",
        "runs/steel/unet/c/benchmarks/train_unet.tsv": "",
        "runs/steel/unet/a/benchmarks/train_unet_ema.tsv": "500",
        "runs/other/unet/a/benchmarks/train_unet.tsv": "900",
        "runs/steel/benchmarks/subset.100_s1.tsv": "3",
        "results/any/benchmarks/page.tsv": "7",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"s\th:m:s\n{seconds}\t0:00:01\n")
    expected = {"train_unet": 20, "subset": 3, "page": 7, "score": None}
    assert {rule: past_seconds(tmp_path, rule, "steel") for rule in expected} == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3570, "1 h 0 min"), (7100, "1 h 58 min")],
)
def test_durations_are_in_the_units_that_people_use(seconds, text):
    assert duration(seconds) == text


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
    fields = {"jobid": 1, "rule_name": "x", "done": 1, "total": 1, "stats": {}}
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
    lines = re.findall(r"^(\[.*), \d+ s(?:; about \d+ s left)?$", output, re.M)
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

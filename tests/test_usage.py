"""What jobs cost: the table of past jobs, and the estimate of a dry run, both against cases worked out by hand."""

import io
import json

import pandas as pd
import pytest
from plan import main as plan

from defectbench.reporting.usage import Job, estimate, past_jobs, planned_jobs

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
DRY_RUN = """
[Sat Nov 21 10:00:35 2026]
rule train_unet:
    input: a, b
    output: runs/steel/unet/new_s42/run.json
    wildcards: ds=steel, exp=new_s42
    resources: gpu=1

[Sat Nov 21 10:00:35 2026]
rule score:
    input: a
    output: runs/steel/unet/new_s42/metrics.json
    wildcards: ds=steel, fam=unet, exp=new_s42

rule results:
    input: a
    output: results/demo/results.csv

localrule all:
    input: results/demo/results.csv
    jobid: 0
"""


@pytest.fixture
def runs(tmp_path):
    def job(folder, stage, seconds, rss):
        path = tmp_path / folder / "benchmarks" / f"{stage}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{HEADER}{seconds}\t0:00:01\t{rss}\t1\t1\t1\t0\t0\t99\t{2 * seconds}\n")

    job("runs/steel/unet/a_s42", "train", 3600, 2000)
    job("runs/steel/unet/b_s42", "train", 7200, 4000)
    job("runs/rail/unet/c_s42", "train", 36000, 9000)
    job("runs/rail/unet/c_s42", "score", 36, "-")
    job("runs/steel", "ingest", 10, 100)
    job("runs/steel", "subset_100_s42", 3, 100)
    job("results/demo", "results", 20, 200)
    usage = tmp_path / "runs/steel/unet/a_s42/logs/train.log.gpu.json"
    usage.parent.mkdir()
    usage.write_text(json.dumps({"device": "GPU-1", "gpu_memory_peak_bytes": 5 * 10**9, "gpu_utilisation_mean": 80.0}))
    return tmp_path


def test_past_jobs_are_one_table(runs):
    table = past_jobs(runs).set_index(["dataset", "exp_id", "rule"])
    assert len(table) == 7
    first = table.loc[("steel", "a_s42", "train_unet")]
    assert first[["seconds", "cpu_seconds", "memory_peak_bytes", "gpu"]].tolist() == [3600, 7200, 2 * 10**9, "GPU-1"]
    assert table.loc[("steel", "", "ingest"), "family"] == ""
    assert pd.isna(table.loc[("rail", "c_s42", "score"), "memory_peak_bytes"])


def test_jobs_of_a_dry_run_are_read_without_the_targets():
    assert planned_jobs(DRY_RUN) == [
        Job("train_unet", "steel", "unet", "new_s42"),
        Job("score", "steel", "unet", "new_s42"),
        Job("results"),
    ]


@pytest.mark.parametrize(
    ("job", "hours", "memory"),
    [
        (Job("train_unet", "steel", "unet", "a_s42"), 1.0, 2.0),  # as last time
        (Job("train_unet", "steel", "unet", "new_s42"), 1.5, 4.0),  # median of the rule on the dataset
        (Job("train_unet", "wood", "unet", "new_s42"), 2.0, 9.0),  # median of the rule anywhere
        (Job("ingest", "steel"), 10 / 3600, 0.1),
        (Job("subset", "steel"), 3 / 3600, 0.1),
        (Job("results"), 20 / 3600, 0.2),
    ],
)
def test_a_job_is_expected_to_cost_what_the_nearest_past_ones_did(runs, job, hours, memory):
    row = estimate([job], past_jobs(runs)).loc[job.family]
    assert row["hours"] == pytest.approx(hours)
    assert row["memory_gb"] == pytest.approx(memory)


def test_jobs_of_rules_that_never_ran_are_counted_not_guessed(runs):
    row = estimate([Job("train_new", "steel", "new", "x_s1")], past_jobs(runs)).loc["new"]
    assert (row["jobs"], row["without_estimate"], row["hours"]) == (1, 1, 0)


def test_without_any_past_run_there_is_no_estimate(tmp_path):
    row = estimate([Job("train_unet", "steel", "unet", "x_s1")], past_jobs(tmp_path)).loc["unet"]
    assert row["without_estimate"] == 1


def test_the_plan_prints_a_line_per_family(runs, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(DRY_RUN))
    plan(["--top", str(runs)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["data", "and", "tables", "1", "0.01", "0.2", "GB", "–", "0"]
    assert lines[2].split() == ["unet", "2", "1.51", "4.0", "GB", "5.0", "GB", "0"]


def test_the_plan_of_a_failed_dry_run_shows_its_message(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("The configuration has 1 problem(s)"))
    with pytest.raises(SystemExit):
        plan([])
    assert "The configuration has 1 problem(s)" in capsys.readouterr().err

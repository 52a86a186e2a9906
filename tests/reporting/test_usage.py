"""What jobs cost: the table of past jobs, and the estimate of a dry run, both against cases worked out by hand."""

import io
import json
import re
from collections import Counter

import pandas as pd
import pytest
from plan import main as plan
from tiny_study import ROOT, Project

from defectbench.reporting.usage import Job, estimate, past_jobs, planned_jobs

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
DRY_RUN = """
[Sat Nov 21 10:00:35 2026]
rule train_unet:
    input: a, b
    output: runs/steel/unet/new_s42/run.json
    log: runs/steel/unet/new_s42/logs/train_unet.log
    jobid: 2
    benchmark: runs/steel/unet/new_s42/benchmarks/train_unet.tsv
    reason: Missing output files: runs/steel/unet/new_s42/run.json
    wildcards: ds=steel, exp=new_s42
    resources: gpu=1

[Sat Nov 21 10:00:35 2026]
rule score:
    input: a
    output: runs/steel/unet/new_s42/metrics.json
    jobid: 1
    benchmark: runs/steel/unet/new_s42/benchmarks/score.tsv
    wildcards: ds=steel, fam=unet, exp=new_s42

rule results:
    input: a
    output: results/demo/results.csv
    jobid: 3
    benchmark: results/demo/benchmarks/results.tsv

localrule all:
    input: results/demo/results.csv
    jobid: 0
"""


def benchmarks_of_the_rules() -> list[tuple[str, str, str]]:
    """Name, log and benchmark of every rule that runs a command, wildcards as they are."""
    found = []
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"^ *rule\b", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            if "shell:" in block:
                name = re.match(r" (\w+):|:\s+name:\s+(?:f?\"(.+)\"|name\n)", block)
                files = (re.search(rf'{key}:\s+(results\()?f?"(.+?)"', block) for key in ("log", "benchmark"))
                found.append(
                    (name[1] or name[2] or "{name}", *("results/demo/" * bool(file[1]) + file[2] for file in files))
                )
    return found


RULES = benchmarks_of_the_rules()
WILDCARDS = {
    **{"ds": "steel", "DS": "steel", "DATASET.name": "steel", "fam": "unet"},
    **{"name": "training", "exp": "a_s42", "noise": "_noise-0.1"},
}


def filled(pattern: str, **wildcards: str) -> str:
    """A path or name with values for its wildcards."""
    return re.sub(r"{([\w.]+)}", lambda match: {**WILDCARDS, **wildcards}.get(match[1], "x_1.5"), pattern)


@pytest.fixture
def runs(tmp_path):
    def job(folder, stage, seconds, rss):
        path = tmp_path / folder / "benchmarks" / f"{stage}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{HEADER}{seconds}\t0:00:01\t{rss}\t1\t1\t1\t0\t0\t99\t{2 * seconds}\n")

    job("runs/steel/unet/a_s42", "train_unet", 3600, 2000)
    job("runs/steel/unet/b_s42", "train_unet", 7200, 4000)
    job("runs/rail/unet/c_s42", "train_unet", 36000, 9000)
    job("runs/rail/unet/c_s42", "score", 36, "-")
    job("runs/steel", "ingest", 10, 100)
    job("runs/steel", "subset.100_s42", 3, 100)
    job("results/demo", "results", 20, 200)
    usage = tmp_path / "runs/steel/unet/a_s42/logs/train_unet.log.gpu.json"
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


def test_the_rules_are_found():
    names = [name for name, _, _ in RULES]
    assert {"fetch", "ingest", "synthesize", "train_unet", "share_training", "plot_{name}", "page"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "log", "benchmark", "exp"),
    [(*rule, exp) for rule in RULES for exp in (("a_s42", "a_cv5_s42/fold0") if "{exp}" in rule[2] else ("",))],
)
def test_every_rules_benchmark_is_in_the_table_and_makes_its_estimate(name, log, benchmark, exp, tmp_path):
    rule, path = filled(name), filled(benchmark, exp=exp)
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(f"{HEADER}7\t0:00:07\t1\t1\t1\t1\t0\t0\t99\t14\n")
    usage = tmp_path / f"{filled(log, exp=exp)}.gpu.json"
    usage.parent.mkdir()
    usage.write_text(json.dumps({"device": "GPU-1"}))

    family = re.search(r"runs/{ds}/([^/]+)/{exp}/", benchmark)
    expected = {
        "rule": rule,
        "dataset": "steel" if path.startswith("runs/") else "",
        "family": filled(family[1]) if family else "",
        "exp_id": exp,
        "seconds": 7,
        "gpu": "GPU-1",
    }
    table = past_jobs(tmp_path)
    assert table[list(expected)].to_dict("records") == [expected]

    planned = planned_jobs(f"rule {rule}:\n    output: x\n    jobid: 1\n    benchmark: {path}\n")
    assert planned == [Job(path, rule, expected["dataset"], expected["family"], expected["exp_id"])]
    assert estimate(planned, table).loc[expected["family"]][["without_estimate", "hours"]].tolist() == [0, 7 / 3600]


def test_a_trainings_rule_and_a_detectors_prediction_have_the_family_of_their_folder():
    families = {name: filled(benchmark).split("/")[2] for name, _, benchmark in RULES if "{exp}" in benchmark}
    assert families["train_sam2_head"] == "sam2_head"
    assert families["predict_yolo_boxes"] == families["predict_yolo"] == "yolo"


def test_jobs_of_a_dry_run_are_read_without_the_targets():
    assert planned_jobs(DRY_RUN) == [
        Job("runs/steel/unet/new_s42/benchmarks/train_unet.tsv", "train_unet", "steel", "unet", "new_s42"),
        Job("runs/steel/unet/new_s42/benchmarks/score.tsv", "score", "steel", "unet", "new_s42"),
        Job("results/demo/benchmarks/results.tsv", "results"),
    ]


def test_the_jobs_of_a_real_dry_run_are_those_that_snakemake_counts(tmp_path):
    output = Project(tmp_path).dry_run(configfile="config/test/folds.yaml")
    counted = re.search(r"^job +count\n[- ]+\n(.*?)^total", output, re.M | re.S)[1]
    counts = {rule: int(count) for rule, count in map(str.split, counted.splitlines())}
    jobs = planned_jobs(output)
    assert Counter(job.rule for job in jobs) == {rule: n for rule, n in counts.items() if rule != "all"}
    assert sum(job.rule == "train_unet" and "/fold" in job.exp_id for job in jobs) >= 3


@pytest.mark.parametrize(
    ("benchmark", "hours", "memory"),
    [
        ("runs/steel/unet/a_s42/benchmarks/train_unet.tsv", 1.0, 2.0),  # as last time
        ("runs/steel/unet/new_s42/benchmarks/train_unet.tsv", 1.5, 4.0),  # median of the rule on the dataset
        ("runs/steel/unet/cv_s42/fold1/benchmarks/train_unet.tsv", 1.5, 4.0),
        ("runs/wood/unet/new_s42/benchmarks/train_unet.tsv", 2.0, 9.0),  # median of the rule anywhere
        ("runs/rail/unet/new_s42/benchmarks/score.tsv", 0.01, float("nan")),
        ("runs/steel/benchmarks/ingest.tsv", 10 / 3600, 0.1),
        ("runs/steel/benchmarks/subset.200_s7.tsv", 3 / 3600, 0.1),
        ("results/other/benchmarks/results.tsv", 20 / 3600, 0.2),
    ],
)
def test_a_job_is_expected_to_cost_what_the_nearest_past_ones_did(runs, benchmark, hours, memory):
    job = Job.of(benchmark)
    row = estimate([job], past_jobs(runs)).loc[job.family]
    assert row["hours"] == pytest.approx(hours)
    assert row["memory_gb"] == pytest.approx(memory, nan_ok=True)


def test_a_familys_own_past_comes_before_that_of_others_on_the_dataset(runs):
    for family, seconds in (("unet", 36), ("sam2", 3600)):
        path = runs / f"runs/steel/{family}/a_s42/benchmarks/score.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{HEADER}{seconds}\t0:00:01\t1\t1\t1\t1\t0\t0\t99\t1\n")
    jobs = [Job.of(f"runs/steel/{family}/new_s42/benchmarks/score.tsv") for family in ("sam2", "yolo")]
    hours = estimate(jobs, past_jobs(runs))["hours"]
    assert hours.to_dict() == pytest.approx({"sam2": 1.0, "yolo": (0.01 + 1.0) / 2})


def test_jobs_of_rules_that_never_ran_are_counted_not_guessed(runs):
    row = estimate([Job.of("runs/steel/new/x_s1/benchmarks/train_new.tsv")], past_jobs(runs)).loc["new"]
    assert (row["jobs"], row["without_estimate"], row["hours"]) == (1, 1, 0)


def test_without_any_past_run_there_is_no_estimate(tmp_path):
    row = estimate([Job.of("runs/steel/unet/x_s1/benchmarks/train_unet.tsv")], past_jobs(tmp_path)).loc["unet"]
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

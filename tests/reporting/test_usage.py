"""What jobs cost: the table of past jobs, and the estimate of a dry run, both against cases worked out by hand."""

import io
import json
import re
from collections import Counter

import pandas as pd
import pytest
from plan import main as plan
from tiny_study import Project
from workflow_listing import ListedRule, list_workflow

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


@pytest.fixture(scope="module")
def rules(tmp_path_factory) -> list[ListedRule]:
    """Every rule that runs a command, also the one that downloads a dataset, which has a Snakefile of its own."""
    project = Project(tmp_path_factory.mktemp("project"))
    rules, _ = list_workflow(project, "all", configfile="config/config.yaml")
    fetching, _ = list_workflow(project, "fetch", configfile="config/cracks.yaml", snakefile="rules/fetch.smk")
    return rules + fetching


WILDCARDS = {"ds": "steel", "fam": "unet", "exp": "a_s42", "noise": "_noise-0.1"}


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


def test_every_rules_benchmark_is_in_the_table_and_makes_its_estimate(rules, tmp_path):
    names = {rule.name for rule in rules}
    assert {"fetch", "ingest", "synthesize", "train_unet", "share_training", "plot_cost", "page"} <= names
    assert len(names) == len(rules)
    experiments = {True: ("a_s42", "a_cv5_s42/fold0"), False: ("",)}
    cases = [(rule, exp) for rule in rules for exp in experiments["{exp}" in rule.benchmark]]
    for number, (rule, exp) in enumerate(cases):
        folder = tmp_path / str(number)
        path = filled(rule.benchmark, exp=exp)
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(f"{HEADER}7\t0:00:07\t1\t1\t1\t1\t0\t0\t99\t14\n")
        usage = folder / f"{filled(rule.log, exp=exp)}.gpu.json"
        usage.parent.mkdir()
        usage.write_text(json.dumps({"device": "GPU-1"}))

        dataset = re.match(r"runs/([^/]+)/", path)
        family = re.search(r"runs/[^/]+/([^/]+)/{exp}/", rule.benchmark)
        expected = {
            "rule": rule.name,
            "dataset": dataset[1] if dataset else "",
            "family": filled(family[1]) if family else "",
            "exp_id": exp,
            "seconds": 7,
            "gpu": "GPU-1",
        }
        table = past_jobs(folder)
        assert table[list(expected)].to_dict("records") == [expected]

        planned = planned_jobs(f"rule {rule.name}:\n    output: x\n    jobid: 1\n    benchmark: {path}\n")
        assert planned == [Job(path, *(expected[key] for key in ("rule", "dataset", "family", "exp_id")))]
        of_family = estimate(planned, table).loc[expected["family"]]
        assert of_family[["without_estimate", "hours"]].tolist() == [0, 7 / 3600]


def test_a_trainings_rule_and_a_detectors_prediction_have_the_family_of_their_folder(rules):
    families = {rule.name: filled(rule.benchmark).split("/")[2] for rule in rules if "{exp}" in rule.benchmark}
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
    assert Counter(job.rule for job in jobs) == {rule: n for rule, n in counts.items() if rule != "study"}
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
    assert lines[1].split() == ["data", "and", "tables", "1", "0.01", "0.2", "GB", "–", "–", "0"]
    assert lines[2].split() == ["unet", "2", "1.51", "4.0", "GB", "5.0", "GB", "–", "0"]


def test_the_plan_of_a_failed_dry_run_shows_its_message(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("The configuration has 1 problem(s)"))
    with pytest.raises(SystemExit):
        plan([])
    assert "The configuration has 1 problem(s)" in capsys.readouterr().err

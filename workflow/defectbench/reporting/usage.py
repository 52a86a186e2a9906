"""What jobs cost: the benchmarks of past runs in one table, and from them an estimate of jobs to come."""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from defectbench.files import read_json

MB, GB = 10**6, 10**9
COLUMNS = ("dataset", "family", "exp_id", "rule", "seconds", "cpu_seconds", "memory_peak_bytes")
GPU_COLUMNS = ("gpu", "gpu_memory_peak_bytes", "gpu_utilisation_mean")


@dataclass(frozen=True)
class Job:
    """A job of the workflow; what has no experiment is of the family ''."""

    rule: str
    dataset: str = ""
    family: str = ""
    exp_id: str = ""


def past_jobs(top: Path) -> pd.DataFrame:
    """A row per job that ran in the folder ``top``: COLUMNS from Snakemake's benchmark, GPU_COLUMNS from the job.

    Reads ``benchmarks/*.tsv`` of experiments, ``runs/{dataset}/{family}/{exp_id}``, datasets, ``runs/{dataset}``, and
    studies, ``results/{study}``; beside them, ``logs/*.log.gpu.json``, which ``defectbench.on_gpu`` wrote. Memory is
    that of the job's processes; null where Snakemake saw nothing, since the job was too short.
    """
    rows = []
    folders = ("runs/*/*/*", "runs/*", "results/*")
    for path in sorted(path for folder in folders for path in top.glob(f"{folder}/benchmarks/*.tsv")):
        measured = pd.read_csv(path, sep="\t", na_values=["-", "NA"]).iloc[-1]
        kind, dataset, *experiment = path.relative_to(top).parts[:-2]
        family, exp_id = experiment or ("", "")
        usage = path.parents[1] / "logs" / f"{path.stem}.log.gpu.json"
        gpu = read_json(usage) if usage.is_file() else {}
        rows.append(
            {
                "dataset": dataset if kind == "runs" else "",
                "family": family,
                "exp_id": exp_id,
                "rule": _rule(path.stem, family),
                "seconds": measured["s"],
                "cpu_seconds": measured["cpu_time"],
                "memory_peak_bytes": measured["max_rss"] * MB,
                "gpu": gpu.get("device"),
                "gpu_memory_peak_bytes": gpu.get("gpu_memory_peak_bytes"),
                "gpu_utilisation_mean": gpu.get("gpu_utilisation_mean"),
            }
        )
    return pd.DataFrame(rows, columns=[*COLUMNS, *GPU_COLUMNS])


def _rule(name: str, family: str) -> str:
    if name in ("train", "predict"):
        return f"{name}_{family}"
    return "subset" if name.startswith("subset_") else name


def planned_jobs(dry_run: str) -> list[Job]:
    """The jobs in the output of ``snakemake -n --quiet host``, targets without work of their own left out."""
    jobs = []
    for block in re.split(r"^(?:local)?rule (?=\w+:$)", dry_run, flags=re.M)[1:]:
        rule = block[: block.index(":")]
        found = re.search(r"^    wildcards: (.+)$", block, re.M)
        values = dict(re.findall(r"(\w+)=([^,\s]+)", found[1])) if found else {}
        if not re.search(r"^    output: ", block, re.M):
            continue
        by_name = re.fullmatch(r"(?:train|predict)_(\w+)", rule)
        family = values.get("fam") or (by_name[1] if by_name else "")
        jobs.append(Job(rule, values.get("ds", ""), family, values.get("exp", "")))
    return jobs


def estimate(jobs: list[Job], past: pd.DataFrame) -> pd.DataFrame:
    """A row per family: jobs, those without an estimate, hours one after another, and the largest peaks of memory (GB).

    A job is expected to cost what it did last time; failing that, the median of its rule on the same dataset; failing
    that, of its rule on any.
    """
    rows = []
    for job in jobs:
        same_rule = past[past["rule"] == job.rule]
        same_dataset = same_rule[same_rule["dataset"] == job.dataset]
        same_job = same_dataset[same_dataset["exp_id"] == job.exp_id] if job.exp_id else same_dataset
        known = next((rows for rows in (same_job, same_dataset, same_rule) if len(rows)), same_rule)
        rows.append(
            {
                "family": job.family,
                "seconds": known["seconds"].median(),
                "memory": known["memory_peak_bytes"].max() / GB,
                "gpu_memory": known["gpu_memory_peak_bytes"].astype(float).max() / GB,
            }
        )
    table = pd.DataFrame(rows, columns=["family", "seconds", "memory", "gpu_memory"])
    grouped = table.groupby("family", sort=True)
    return pd.DataFrame(
        {
            "jobs": grouped.size(),
            "without_estimate": grouped["seconds"].agg(lambda seconds: int(seconds.isna().sum())),
            "hours": grouped["seconds"].sum() / 3600,
            "memory_gb": grouped["memory"].max(),
            "gpu_memory_gb": grouped["gpu_memory"].max(),
        }
    )

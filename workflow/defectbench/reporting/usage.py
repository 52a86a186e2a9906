"""Cost of jobs: the benchmarks of past runs in one table, and an estimate of planned jobs from them."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from defectbench.benchmark_files import benchmark_files
from defectbench.files import read_json

MB, GB = 10**6, 10**9
COLUMNS = ("dataset", "family", "exp_id", "rule", "benchmark", "seconds", "cpu_seconds", "memory_peak_bytes")
GPU_COLUMNS = ("gpu", "gpu_memory_peak_bytes", "gpu_utilisation_mean")
SIMILARITY = (["benchmark"], ["rule", "family", "dataset"], ["rule", "dataset"], ["rule"])
"""Columns by which past jobs are similar to a planned one, the closest first."""


@dataclass(frozen=True)
class Job:
    """A job of the workflow; fields that do not apply are empty."""

    benchmark: str
    """Path of its benchmark below the folder that holds runs/ and results/: no other job has the same."""
    rule: str
    dataset: str = ""
    family: str = ""
    exp_id: str = ""
    """``{exp_id}/fold{k}`` for a fold."""

    @classmethod
    def of(cls, benchmark: str) -> "Job":
        """The job that writes ``benchmark``: all rules call it ``…/benchmarks/{rule}[.{wildcards}].tsv``."""
        path = PurePosixPath(benchmark)
        top, *folders = path.parts[:-2]
        rule = path.name.split(".")[0]
        if top != "runs":
            return cls(benchmark, rule)
        return cls(benchmark, rule, folders[0], "".join(folders[1:2]), "/".join(folders[2:]))


def past_jobs(top: Path) -> pd.DataFrame:
    """A row per job that ran in the folder ``top``: COLUMNS from Snakemake's benchmark, GPU_COLUMNS from the job.

    Reads the benchmarks and, beside them, ``logs/*.log.gpu.json``, which ``defectbench.on_gpu`` wrote.
    Memory is that of the job's processes; null where Snakemake saw nothing, since the job was too short.
    """
    rows = []
    for path in sorted(benchmark_files(top)):
        benchmark = pd.read_csv(path, sep="\t", na_values=["-", "NA"]).iloc[-1]
        usage = path.parents[1] / "logs" / f"{path.stem}.log.gpu.json"
        gpu = read_json(usage) if usage.is_file() else {}
        rows.append(
            {
                **asdict(Job.of(path.relative_to(top).as_posix())),
                "seconds": benchmark["s"],
                "cpu_seconds": benchmark["cpu_time"],
                "memory_peak_bytes": benchmark["max_rss"] * MB,
                "gpu": gpu.get("device"),
                "gpu_memory_peak_bytes": gpu.get("gpu_memory_peak_bytes"),
                "gpu_utilisation_mean": gpu.get("gpu_utilisation_mean"),
            }
        )
    return pd.DataFrame(rows, columns=[*COLUMNS, *GPU_COLUMNS])


def planned_jobs(dry_run: str) -> list[Job]:
    """The jobs in the output of ``snakemake -n --quiet host``; targets that run nothing have no benchmark."""
    return [Job.of(path) for path in re.findall(r"^    benchmark: (.+)$", dry_run, re.M)]


def estimate(jobs: list[Job], past: pd.DataFrame) -> pd.DataFrame:
    """A row per family: jobs, those without an estimate, hours one after another, and the largest peaks of memory (GB).

    A job is expected to cost what it did last time; failing that, the median of its rule for the same family and
    dataset; failing that, of its rule on the dataset, then on any.
    """
    alike = [(columns, dict(list(past.groupby(columns)))) for columns in SIMILARITY]
    nothing = past.iloc[:0]
    rows = []
    for job in jobs:
        candidates = (groups.get(tuple(getattr(job, column) for column in columns)) for columns, groups in alike)
        similar = next((group for group in candidates if group is not None), nothing)
        rows.append(
            {
                "family": job.family,
                "seconds": similar["seconds"].median(),
                "memory": similar["memory_peak_bytes"].max() / GB,
                "gpu_memory": similar["gpu_memory_peak_bytes"].astype(float).max() / GB,
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

"""Where Snakemake writes the benchmarks of jobs: what past ones took."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median

ENOUGH = 100
"""Past jobs of a rule that an estimate reads."""


def benchmark_files(top: Path, rule: str = "*", dataset: str = "*") -> Iterator[Path]:
    """The benchmarks in the folder ``top`` that holds runs/ and results/: of all jobs, of one rule, or of one dataset.

    Those of studies and of published weights belong to no dataset.
    """
    runs = f"runs/{dataset}"
    folders = ("weights", "results/*", runs, f"{runs}/*/*", f"{runs}/*/*/fold*")
    # All rules call theirs {rule}.tsv or {rule}.{wildcards}.tsv.
    return (path for folder in folders for path in top.glob(f"{folder}/benchmarks/{rule}.*tsv"))


def past_seconds(top: Path, rule: str, dataset: str) -> float | None:
    """What a job of a rule took in past runs on a dataset: the median; None if none ran."""
    seconds = map(_seconds, islice(benchmark_files(top, rule, dataset), ENOUGH))
    return median(known) if (known := [value for value in seconds if value is not None]) else None


def _seconds(path: Path) -> float | None:
    """The last line's first column; None of a file that a killed job left half."""
    try:
        return float(path.read_text(encoding="utf-8").splitlines()[-1].split("\t")[0])
    except (OSError, ValueError, IndexError):
        return None

"""Estimate the cost of a run, its disk too: `snakemake -n --quiet host … | python workflow/scripts/plan.py`.

Or `make plan CONFIG=config/severstal.yaml`.
"""

import argparse
import sys
from pathlib import Path

from defectbench.reporting.disk import estimate_disk, planned_files
from defectbench.reporting.usage import GB, estimate, past_jobs, planned_jobs
from defectbench.script import UserError, run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read a dry run on stdin, print a line per family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--top", type=Path, default=Path(), help="folder that holds runs/ and results/")
    args = parser.parse_args(argv)

    dry_run = sys.stdin.read()
    if "Nothing to be done" in dry_run:
        print("Nothing to be done: all results are up to date.")
        return
    jobs = planned_jobs(dry_run)
    if not jobs:
        raise UserError(f"This is not the output of `snakemake -n --quiet host`:\n{dry_run[-2000:]}")
    past = past_jobs(args.top)
    disk = estimate_disk(args.top, planned_files(dry_run))
    table = estimate(jobs, past).join(disk["bytes"] / GB)
    print(f"{'family':<16}{'jobs':>6}{'hours':>9}{'memory':>10}{'GPU memory':>12}{'disk':>10}   without estimate")
    for family, row in table.iterrows():
        cells = f"{row['jobs']:6.0f}{row['hours']:9.2f}{_gb(row['memory_gb']):>10}{_gb(row['gpu_memory_gb']):>12}"
        print(f"{family or 'data and tables':<16}{cells}{_gb(row['bytes']):>10}{row['without_estimate']:19.0f}")
    hours, needed = table["hours"].sum(), table["bytes"].sum()
    print(f"{'all':<16}{table['jobs'].sum():6.0f}{hours:9.2f}{_gb(needed):>32}   one after another")
    print(f"From {len(past)} past jobs; a new job counts as the median of its rule.")
    print("Disk is that of packs, predictions and weights.")
    if unknown := int(disk["unknown"].sum()):
        print(f"{unknown} of them are not counted: their dataset is not ingested yet, or none of their family trained.")


def _gb(value: float) -> str:
    return f"{value:.1f} GB" if value == value else "–"


if __name__ == "__main__":
    main()

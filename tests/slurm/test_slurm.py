"""A small study through a real Slurm of one node with two fake GPUs; needs Slurm (install.sh) and root."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from tiny_study import Project, read_reproducible

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
# Jobs of seconds are polled sooner than a real study's.
SOON = ("--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "3")
# The test's Slurm has no accounting; otherwise the profiles are used as they are.
PROFILES = {
    "slurm": ("--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue", "--slurm-no-account", *SOON),
    "slurm-noaccounting": ("--workflow-profile", "profiles/slurm-noaccounting", *SOON),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if missing := [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if shutil.which(name) is None]:
        pytest.skip(f"Slurm is not installed ({', '.join(missing)}); as root: tests/slurm/install.sh")
    if os.getuid() != 0:
        pytest.skip("starting Slurm needs root")
    if Path("/etc/slurm/slurm.conf").exists():
        pytest.skip("this machine already has Slurm")
    folder = tmp_path_factory.mktemp("slurm")
    # Slurm's authentication runs as another user.
    for parent in folder.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    try:
        subprocess.run([HERE / "cluster.sh", "start", folder], check=True, timeout=120)
        yield
    finally:
        subprocess.run([HERE / "cluster.sh", "stop", folder], check=True)


@pytest.fixture(scope="module")
def through_slurm(cluster, tmp_path_factory):
    """A project whose study of two networks and a reference ran as Slurm jobs."""
    project = Project(tmp_path_factory.mktemp("through_slurm"))
    entries = [{"model": "unet", "subset": [10, "full"]}, {"model": "tophat_otsu"}]
    # The tables, which are compared; each job waits for Slurm and starts a Snakemake.
    wanted = "results/tiny/leaderboard.md"
    done = project.snakemake(wanted, *PROFILES["slurm"], configfile=project.config(experiments=entries))
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def test_results_are_those_of_a_local_run(through_slurm, project):
    def rows(where: Project) -> pd.DataFrame:
        table = read_reproducible(where.folder / "results/tiny/results.csv")
        # Intervals hold for all experiments of a study together; the local study has more of them.
        return table.loc[:, ~table.columns.str.contains("_lo$|_hi$")]

    table = rows(through_slurm)
    assert len(table) == 3
    pd.testing.assert_frame_equal(table, rows(project).loc[table.index])


def test_two_gpu_jobs_overlap_and_no_device_has_two(through_slurm):
    files = list(through_slurm.folder.glob("runs/*/unet/*/logs/*.gpu.json"))
    jobs = sorted((json.loads(file.read_text()) for file in files), key=lambda job: job["started"])
    assert len(jobs) == 4
    assert {job["device"] for job in jobs} == {"0", "1"}
    pairs = [(a, b) for i, a in enumerate(jobs) for b in jobs[i + 1 :] if b["started"] < a["ended"]]
    assert pairs
    assert all(a["device"] != b["device"] for a, b in pairs)


def test_the_profile_without_accounting_needs_no_other_option(through_slurm):
    (through_slurm.folder / "results/tiny/leaderboard.md").unlink()
    wanted = "results/tiny/leaderboard.md"
    done = through_slurm.snakemake(wanted, *PROFILES["slurm-noaccounting"], configfile="changed.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Job \d+ has been submitted with SLURM jobid", done.stdout + done.stderr)
    assert (through_slurm.folder / "results/tiny/leaderboard.md").is_file()

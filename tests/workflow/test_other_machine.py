"""A job of a cluster parses the workflow again on its machine."""

import pytest
from tiny_study import Project

JOB = ("--target-jobs", "synthesize:", "--allowed-rules", "synthesize", "--force", "--nolock", "--cores", "1")
MADE = ("source", "logs", "benchmarks")


@pytest.mark.parametrize("mode", ["remote", "subprocess"])
def test_a_job_on_another_machine_writes_nothing_but_its_own_files(mode, tmp_path):
    project = Project(tmp_path / "project")
    project.dry_run("all")
    runs = project.folder / "runs"
    for path in [*runs.rglob("score.yaml"), *runs.rglob("sources.json")]:
        path.unlink()
    before = {path: path.stat().st_mtime_ns for path in project.folder.glob("r*s/**/*") if path.is_file()}
    assert any(path.name == "calibrate.yaml" for path in before)

    done = project.snakemake(*JOB, "--mode", mode)
    assert done.returncode == 0, done.stderr

    after = {path: path.stat().st_mtime_ns for path in project.folder.glob("r*s/**/*") if path.is_file()}
    written = {path.relative_to(runs).parts[1] for path in after if after[path] != before.get(path)}
    assert written == set(MADE)

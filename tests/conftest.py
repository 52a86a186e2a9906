"""Shared fixtures. pyproject.toml makes the library, the scripts and the helpers in tests/support importable."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tiny_study import ROOT, Project

# A slow machine is no bug.
settings.register_profile("defectbench", deadline=None)
settings.load_profile("defectbench")


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Project:
    """A copy of the project that has run its tiny study once."""
    project = Project(tmp_path_factory.mktemp("project"))
    done = project.snakemake("--cores", "2", "--resources", "gpu=1")
    assert done.returncode == 0, done.stdout + done.stderr
    project.first_output = done.stdout + done.stderr
    return project


@pytest.fixture
def clean(project) -> Iterator[Project]:
    """The project, put back after the test's edits."""
    yield project
    project.put_back()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real labelled images, which CI has and a user's clone has not."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real data are not here: {folder}")
    return folder

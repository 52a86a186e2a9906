"""Shared fixtures. pyproject.toml makes the library, the scripts and the helpers in tests/support importable."""

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from left_behind import LISTING, list_left_behind
from offline_processes import FOLDER, offline_environment
from tiny_study import ROOT, Project, finished_study

sys.path.append(str(FOLDER))
from sitecustomize import CONNECTIONS

# One thread for each worker, and for each process that it starts; read when the libraries are loaded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
    os.environ.setdefault(variable, "1")

# A slow machine is no bug.
settings.register_profile("defectbench", deadline=None)
settings.load_profile("defectbench")

# From here on neither this process nor one that it starts can reach another machine.
os.environ.update(offline_environment())

IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
# Workers take files in this order, so that none is left with a long one in the end. The first two are studies that run
# at the same time; the third needs the first one's.
LONGEST_FIRST = (
    *("test_chaos", "test_workflow_folds", "test_kill", "test_failures", "test_staleness", "test_sam2_scripts"),
    *("test_workflow", "test_sam2_learning", "test_stored_scores", "test_yolo_optional", "test_yolo_training"),
    *("test_catalog", "test_moved_project", "test_devices", "test_cascade_scripts", "test_cascade_staleness"),
    *("test_truth_unseen", "test_cnn", "test_fetch", "test_results", "test_sam3_learning", "test_area_table"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first where the tests are divided among workers."""
    if IS_WORKER:
        rank = {name: number for number, name in enumerate(LONGEST_FIRST)}
        items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Project:
    """A copy of the project that has run its tiny study, once for all workers; each has a copy of its own."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if IS_WORKER else own
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        finished = finished_study(shared / "finished")
        listing = finished.folder / LISTING
        if not listing.is_file():  # before tests that need more files than its run made
            listing.write_text(json.dumps(list_left_behind(finished.folder)))
    return finished.copy(own / "project") if IS_WORKER else finished


@pytest.fixture(scope="session", autouse=True)
def connections(tmp_path_factory) -> Iterator[Path]:
    """The file in which connections that were tried are noted, by this process and those that it starts."""
    path = tmp_path_factory.getbasetemp() / "connections.txt"
    path.touch()
    os.environ[CONNECTIONS] = str(path)
    yield path
    del os.environ[CONNECTIONS]


@pytest.fixture(autouse=True)
def offline(connections) -> Iterator[None]:
    """Fail a test in which anything tried to reach another machine, even if the error was swallowed."""
    yield
    attempts = connections.read_text()
    connections.write_text("")
    assert attempts == ""


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

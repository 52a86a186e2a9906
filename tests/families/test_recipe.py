"""The recipe of CONTRIBUTING.md for a new family, followed with the toy family in tests/families/toy."""

import os
import shutil
import subprocess
import sys

import pytest
import tiny_experiments
from tiny_study import PARTS, ROOT, Project

TOY = ROOT / "tests" / "families" / "toy"
NEW_FILES = {
    "workflow/defectbench/config/families/toy.py": "settings.py",
    "workflow/defectbench/families/toy.py": "family.py",
    "workflow/scripts/train_toy.py": "train_toy.py",
    "workflow/scripts/predict_toy.py": "predict_toy.py",
}
REGISTRY = "workflow/defectbench/config/families/registry.py"
NEW_LINES = {
    b"from defectbench.config.families.unet import UNetSettings\n": (
        b"from defectbench.config.families.toy import ToySettings\n"
    ),
    b'    "unet": UNetSettings,\n': b'    "toy": ToySettings,\n',
}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A copy of the project, its tests included, to which the family was added."""
    project = Project(tmp_path_factory.mktemp("recipe"), parts=(*PARTS, "tests", "pyproject.toml"))
    for path, source in NEW_FILES.items():
        shutil.copy(TOY / source, project.folder / path)
    for before, line in NEW_LINES.items():
        project.edit(REGISTRY, before, line + before)
    return project


def test_it_takes_four_new_files_two_edited_lines_and_few_lines_of_code():
    lines = [line for source in NEW_FILES.values() for line in (TOY / source).read_text().splitlines()]
    assert (len(NEW_FILES), len(NEW_LINES)) == (4, 2)
    assert len(lines) + len(NEW_LINES) <= 150


def test_the_family_conforms_without_a_word_of_its_own(project):
    assert "toy" not in tiny_experiments.OVERRIDES
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/families/test_conformance.py"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "PYTHONPATH"))}
    done = subprocess.run(
        [*command, "-k", "toy"], cwd=project.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("......."), done.stdout


def test_its_rules_and_target_follow(project):
    experiments = [{"model": "toy", "channels": [4, 8]}, {"model": "all_empty"}]
    configfile = project.config(experiments=experiments)
    jobs = project.stale("toy", configfile=configfile)
    assert {rule: jobs[rule] for rule in ("train_toy", "predict_toy", "calibrate", "score")} == dict.fromkeys(
        ("train_toy", "predict_toy", "calibrate", "score"), 2
    )
    assert not [rule for rule in jobs if rule.startswith(".......") and rule != "train_toy"]

"""Changelog, citation, pre-commit hooks and CI say what the project itself says."""

import tomllib

import yaml
from tiny_study import ROOT

from defectbench.metrics.version import METRIC_VERSION

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read_yaml(path: str) -> dict:
    """The YAML file ``path`` of the repository."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_changelog_has_this_version_of_project_and_metrics():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## {PROJECT['version']}" in changelog
    versions = changelog.partition("## Metric definitions")[2]
    assert [f"\n| {version} |" in versions for version in range(1, METRIC_VERSION + 2)] == [True] * METRIC_VERSION + [
        False
    ]


def test_citation_is_of_this_project():
    citation = read_yaml("CITATION.cff")
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])


def test_hooks_need_no_network():
    repositories = read_yaml(".pre-commit-config.yaml")["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    hooks = {hook["id"]: hook["language"] for hook in repositories[0]["hooks"]}
    assert hooks == dict.fromkeys(("ruff", "ruff-format", "snakefmt", "codespell"), "system")


def test_ci_runs_the_commands_of_the_readme():
    job = read_yaml(".github/workflows/ci.yml")["jobs"]["make"]
    (command,) = [step["run"] for step in job["steps"] if "run" in step]
    commands = [command.replace("${{ matrix.target }}", target) for target in job["strategy"]["matrix"]["target"]]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert commands == ["make demo", "make test"]
    assert all(f"\n    {command} " in readme for command in commands)

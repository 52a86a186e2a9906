"""The rules of the loaded workflow, and the jobs that it plans for a study, as data.

Tests call :func:`list_workflow`. It lets Snakemake read a Snakefile that includes the project's and calls the others.
"""

import inspect
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from snakemake.io import strip_wildcard_constraints
from snakemake_interface_logger_plugins.common import LogEvent
from tiny_study import Project

SNAKEFILE = """
import sys

sys.path.insert(0, "{support}")

from snakemake.logging import logger
from workflow_listing import PlannedJobs, write_rules

include: "{snakefile}"

write_rules(workflow)
logger.addHandler(PlannedJobs())
"""
RULES, JOBS = "rules.json", "jobs.jsonl"


@dataclass(frozen=True)
class ListedRule:
    """A rule that runs a command, as it was declared."""

    name: str
    script: str  # path of its input ``script``
    command: str
    code: str  # what its param function ``code`` gives; empty if there is none
    log: str  # with wildcards; empty if there is none
    benchmark: str
    threads: bool
    conda: bool
    resources: list[str]
    growing: list[str]  # the resources that grow with each further attempt


@dataclass(frozen=True)
class PlannedJob:
    """A job of a dry run; ``inputs`` are those that the rule's input functions return for it."""

    rule: str
    exp: str
    inputs: list[str]
    resources: dict[str, int | None]  # None: known when its inputs are there
    command: str


class PlannedJobs(logging.Handler):
    """Writes every job that Snakemake announces."""

    def emit(self, record: logging.LogRecord) -> None:
        fields = vars(record)
        if fields.get("event") == LogEvent.JOB_INFO:
            exp = (fields["wildcards"] or {}).get("exp", "")
            resources = {name: value if isinstance(value, int) else None for name, value in fields["resources"].items()}
            command = fields.get("shellcmd") or ""
            job = PlannedJob(fields["rule_name"], exp, list(fields["input"]), resources, command)
            with Path(JOBS).open("a") as file:
                file.write(json.dumps(asdict(job)) + "\n")


def write_rules(workflow: Any) -> None:
    """Write what the rules of a Snakemake workflow declare."""
    rules = [_listed(rule) for rule in workflow.rules if rule.shellcmd]
    Path(RULES).write_text(json.dumps([asdict(rule) for rule in rules]))


def _listed(rule: Any) -> ListedRule:
    declared = rule.ruleinfo
    _, resources = declared.resources or ((), {})
    growing = [key for key, value in resources.items() if callable(value) and "attempt" in _parameters(value)]
    return ListedRule(
        name=rule.name,
        script=str(declared.input.kwpaths["script"]),
        command=declared.shellcmd,
        code=code(None) if (code := declared.params[1].get("code")) else "",
        log=strip_wildcard_constraints(next(iter(rule.log), "")),
        benchmark=strip_wildcard_constraints(rule.benchmark or ""),
        threads=declared.threads is not None,
        conda=declared.conda_env is not None,
        resources=sorted(resources),
        growing=sorted(growing),
    )


def _parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def list_workflow(
    project: Project, *targets: str, configfile: str, snakefile: str = "Snakefile"
) -> tuple[list[ListedRule], list[PlannedJob]]:
    """The rules of the workflow that are loaded for a study, and the jobs of a dry run of ``targets`` from nothing."""
    listing = SNAKEFILE.format(support=Path(__file__).parent, snakefile=snakefile)
    (project.folder / "listing.smk").write_text(listing)
    (project.folder / JOBS).unlink(missing_ok=True)
    project.dry_run(*targets, "--forceall", "-s", "listing.smk", configfile=configfile)
    rules = json.loads((project.folder / RULES).read_text())
    jobs = map(json.loads, (project.folder / JOBS).read_text().splitlines())
    return [ListedRule(**rule) for rule in rules], [PlannedJob(**job) for job in jobs]

"""What all rules share: the validated study, its settings files, code digests and path helpers."""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

LIBRARY = Path(workflow.basedir) / "workflow"
sys.path.insert(0, str(LIBRARY))

from defectbench.code_digest import CodeDigests
from defectbench.config.base import ConfigError
from defectbench.config.study import FAMILIES, load_study
from defectbench.config.settings_files import write_settings_files

try:
    STUDY = load_study(config)
except ConfigError as error:
    raise WorkflowError(
        f"The configuration has {len(error.problems)} problem(s):\n{error}"
    ) from None

DS = STUDY.dataset.name
EXPERIMENTS = {experiment.exp_id: experiment for experiment in STUDY.experiments}
DIGESTS = CodeDigests()
ENV = "../envs/defectbench.yaml"

write_settings_files(STUDY, Path("."))

# The jobs use this interpreter and this checkout, whatever PATH says; conda jobs bring their own interpreter.
with_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
interpreter = "" if with_conda else f"{Path(sys.executable).parent}:"
shell.prefix(
    f"unset PYTHONDONTWRITEBYTECODE; export PATH='{interpreter}'\"$PATH\" PYTHONPATH='{LIBRARY}'"
    " PYTHONUNBUFFERED=1 NO_ALBUMENTATIONS_UPDATE=1; "
)


wildcard_constraints:
    ds="[A-Za-z0-9][A-Za-z0-9_-]*",
    exp="[^/]+",
    n="full|[1-9][0-9]*",
    seed="[0-9]+",


def script(name):
    """Path of a rule's script: a declared input of the rule."""
    return f"{workflow.basedir}/workflow/scripts/{name}.py"


def code(name):
    """Digest of the library code that a script runs: a param, so that a real edit makes its results stale."""
    return DIGESTS.of(Path(script(name)))


def experiment(wildcards):
    """The experiment that a path names."""
    if wildcards.exp not in EXPERIMENTS:
        known = "\n  ".join(EXPERIMENTS)
        raise WorkflowError(
            f"study {STUDY.name} has no experiment {wildcards.exp}; it has:\n  {known}"
        )
    return EXPERIMENTS[wildcards.exp]


def subset_file(wildcards):
    """The subset of training images of an experiment."""
    found = experiment(wildcards)
    return f"runs/{wildcards.ds}/subsets/{found.subset}_s{found.seed}.csv"


def folder(found):
    """Folder of an experiment."""
    return f"runs/{DS}/{found.family}/{found.exp_id}"


def scored(family=None):
    """The scores of all experiments, or of those of one family."""
    chosen = STUDY.experiments if family is None else STUDY.of_family(family)
    return [f"{folder(found)}/metrics.json" for found in chosen]


def of_each(*names):
    """The files ``names`` of every experiment of the study."""
    return [f"{folder(found)}/{name}" for found in STUDY.experiments for name in names]


def results(*names):
    """Files of this study's results folder."""
    return [f"results/{STUDY.name}/{name}" for name in names]


def print_leaderboard():
    """Show the study's leaderboard at the end of a run that made one."""
    path = Path(results("leaderboard.md")[0])
    if path.is_file():
        print(f"\n{path.read_text(encoding='utf-8')}\n{path}")

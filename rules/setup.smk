"""Interpreter and library of the jobs, also for Snakefiles that are used alone or come out of a git repository."""

import gc
import io
import os
import sys
import tarfile
import tempfile
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod
from snakemake.sourcecache import HostingProviderFile, LocalGitFile


def project_folder(rules):
    """Folder of this project: around the folder ``rules``, or, if that is in a git repository, a checkout of its commit.

    Snakemake reads `module: snakefile: github(…)` file by file out of a bare clone; jobs need scripts and library too.
    """
    if isinstance(rules, HostingProviderFile):
        return check_out(rules.hosted_repo.repo, rules.ref)
    if isinstance(rules, LocalGitFile):
        import git

        return check_out(git.Repo(rules.repo_path), rules.ref)
    return Path(rules.get_path_or_uri(secret_free=True)).resolve().parent


def check_out(repository, ref):
    """Folder with the files of a git repository at ``ref``: in .snakemake, which all jobs share."""
    commit = repository.commit(ref)
    folder = Path(".snakemake", "defectbench", commit.hexsha).resolve()
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        archive = io.BytesIO()
        repository.archive(archive, commit.hexsha)
        archive.seek(0)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            with tarfile.open(fileobj=archive) as files:
                files.extractall(temporary, filter="data")
            Path(temporary).rename(folder)
            Path(temporary).mkdir()  # to be removed
    return folder


# A plan is made of millions of objects that stay: to look among them for garbage takes a tenth of its time.
gc.set_threshold(1_000_000)

# Snakemake's own base folder is another one where a Snakefile elsewhere includes this one or has it as a module.
PROJECT = project_folder(workflow.current_basedir)
LIBRARY = PROJECT / "workflow"
if not LIBRARY.is_dir():
    raise WorkflowError(
        f"{PROJECT} has no folder workflow: clone DefectBench and name its Snakefile by its path, or by github(…)"
    )
sys.path.insert(0, str(LIBRARY))

ENV = "../envs/defectbench.yaml"
CONFIGFILES = " ".join(os.path.relpath(path) for path in workflow.configfiles)

# The jobs use this interpreter and this checkout, whatever PATH says; conda jobs bring their own interpreter.
with_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
if with_conda:
    # The tools that build packages run code: pip takes them, too, from the lock. (A URL: pip splits a path at blanks.)
    lock = (PROJECT / "requirements.lock").as_uri()
    os.environ.setdefault("PIP_BUILD_CONSTRAINT", lock)
interpreter = "" if with_conda else f"{Path(sys.executable).parent}:"
# Jobs exit with this process (not $PPID: if that died before the shell started, it is another process's id).
# A prefix replaces Snakemake's own, without which `| tee` would hide that a job failed.
shell.prefix(
    f'set -euo pipefail; unset PYTHONDONTWRITEBYTECODE; export PATH={quote(interpreter)}"$PATH"'
    f" PYTHONPATH={quote(str(LIBRARY))}"
    f" PYTHONUNBUFFERED=1 NO_ALBUMENTATIONS_UPDATE=1 DEFECTBENCH_RUN={os.getpid()}; "
)

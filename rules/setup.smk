"""Interpreter and library of the jobs, also for Snakefiles that are used alone."""

import os
import sys
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

# Snakemake's own base folder is another one where a Snakefile elsewhere includes this one or has it as a module.
PROJECT = (
    Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).resolve().parent
)
LIBRARY = PROJECT / "workflow"
if not LIBRARY.is_dir():
    raise WorkflowError(
        f"{LIBRARY} is not a folder: clone DefectBench and name its Snakefile by its path"
    )
sys.path.insert(0, str(LIBRARY))

ENV = "../envs/defectbench.yaml"
CONFIGFILES = " ".join(os.path.relpath(path) for path in workflow.configfiles)

# The jobs use this interpreter and this checkout, whatever PATH says; conda jobs bring their own interpreter.
with_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
interpreter = "" if with_conda else f"{Path(sys.executable).parent}:"
# Jobs exit with this process (not $PPID: if that died before the shell started, it is another process's id).
# A prefix replaces Snakemake's own, without which `| tee` would hide that a job failed.
shell.prefix(
    f'set -euo pipefail; unset PYTHONDONTWRITEBYTECODE; export PATH={quote(interpreter)}"$PATH"'
    f" PYTHONPATH={quote(str(LIBRARY))}"
    f" PYTHONUNBUFFERED=1 NO_ALBUMENTATIONS_UPDATE=1 DEFECTBENCH_RUN={os.getpid()}; "
)

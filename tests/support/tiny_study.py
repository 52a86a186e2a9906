"""A copy of the project in which the tests may run Snakemake and edit files."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml
from offline_processes import offline_environment

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "rules", "workflow", "config", "profiles", "resources", "envs")
CONFIG = "config/test/tiny.yaml"
LOG = "run.log"
# What two runs of the same study may differ in: columns, and the note on a machine that was busy.
CLOCK = r"time|seconds|timestamp|infer_ms|peak_memory|^load$"
EMPTY = "{}"
EMPTY_DIGEST = hashlib.sha256(EMPTY.encode()).hexdigest()
BUSY = r"(?:; )?timed while other work ran[^;]*"


def read_reproducible(results: Path) -> pd.DataFrame:
    """results.csv as text, one row per exp_id, without what the clock and the machine's load decide."""
    table = pd.read_csv(results, dtype=str, keep_default_na=False).set_index("exp_id")
    table["notes"] = table["notes"].str.replace(BUSY, "", regex=True).str.removeprefix("; ")
    return table.loc[:, ~table.columns.str.contains(CLOCK)]


class Project:
    """The copy: its folder, how Snakemake is called there, and which jobs are stale."""

    def __init__(self, folder: Path, parts: tuple[str, ...] = PARTS) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._original: dict[Path, bytes] = {}
        for part in parts:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, folder / part)

    def copy(self, folder: Path) -> "Project":
        """A copy in another folder, with all that was computed."""
        shutil.copytree(self.folder, folder)
        return Project(folder, parts=())

    def files(self) -> list[Path]:
        """The project's own files, without anything computed."""
        inside = (path for part in PARTS for path in [self.folder / part, *(self.folder / part).rglob("*")])
        return [path for path in inside if path.is_file() and "__pycache__" not in path.parts]

    def command(self, *arguments: str, configfile: str = CONFIG) -> dict:
        """Keyword arguments of ``subprocess.run`` or ``Popen`` for one call of Snakemake."""
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | offline_environment()
        # A bare PATH: the workflow must find its interpreter by itself.
        environment["PATH"] = "/usr/local/bin:/usr/bin:/bin"
        command = [str(Path(sys.executable).with_name("snakemake")), *arguments, "--configfile", configfile]
        return {"args": command, "cwd": self.folder, "env": environment, "text": True}

    def snakemake(self, *arguments: str, configfile: str = CONFIG) -> subprocess.CompletedProcess:
        return subprocess.run(**self.command(*arguments, configfile=configfile), capture_output=True, check=False)

    def dry_run(self, *arguments: str, configfile: str = CONFIG) -> str:
        done = self.snakemake("--cores", "1", *arguments, "--dry-run", "--quiet", "host", configfile=configfile)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def stale(self, *arguments: str, configfile: str = CONFIG) -> dict[str, int]:
        """Jobs that a dry run would execute: rule -> count."""
        counts: dict[str, int] = {}
        for rule, _ in self.stale_jobs(*arguments, configfile=configfile):
            counts[rule] = counts.get(rule, 0) + 1
        return counts

    def stale_jobs(self, *arguments: str, configfile: str = CONFIG) -> list[tuple[str, str]]:
        """Jobs that a dry run would execute, as (rule, experiment id); the id is empty where a rule has none."""
        output = self.dry_run(*arguments, configfile=configfile)
        if "Nothing to be done" in output:
            return []
        jobs = []
        for block in re.split(r"^(?:local)?rule (?=\w+:$)", output, flags=re.M)[1:]:
            exp = re.search(r"^    wildcards: .*\bexp=([^,\s]+)", block, re.M)
            jobs.append((block[: block.index(":")], exp[1] if exp else ""))
        return sorted(job for job in jobs if job[0] not in ("all", "default", "study", "unet", "reference"))

    def pretend_to_compute(self, *targets: str, configfile: str = CONFIG) -> None:
        """Write all that ``targets`` need as empty files, which Snakemake takes for computed."""
        for line in re.findall(r"^    output: (.*)$", self.dry_run(*targets, configfile=configfile), re.M):
            for path in line.split(", "):
                (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / path).write_text(EMPTY_DIGEST if path.endswith(".sha256") else EMPTY)
        touched = self.snakemake("--cores", "1", *targets, "--touch", "--forceall", configfile=configfile)
        assert touched.returncode == 0, touched.stderr

    def config(self, like: str = CONFIG, **changes) -> str:
        """A configuration file ``like`` another, with some sections replaced."""
        values = yaml.safe_load((self.folder / like).read_text())
        path = self.folder / "changed.yaml"
        path.write_text(yaml.safe_dump({**values, **changes}))
        return path.name

    def edit(self, name: str, old: bytes, new: bytes) -> None:
        """Replace the first ``old`` in a file; an empty ``old`` puts ``new`` at its end."""
        path = self.folder / name
        content = path.read_bytes()
        self._original.setdefault(path, content)
        assert old in content
        path.write_bytes(content.replace(old, new, 1) if old else content + new)

    def put_back(self) -> None:
        """Undo all edits."""
        for path, content in self._original.items():
            path.write_bytes(content)
        self._original.clear()


def finished_study(folder: Path) -> Project:
    """The project in ``folder`` after a run of its tiny study, whose output is in run.log; run unless it is there."""
    if (folder / LOG).is_file():
        return Project(folder, parts=())
    project = Project(folder)
    done = project.snakemake("--cores", "2", "--resources", "gpu=1")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / LOG).write_text(done.stdout + done.stderr)
    return project

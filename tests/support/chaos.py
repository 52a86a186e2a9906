"""Kill a small study at random times, continue it, and compare its results with those of an undisturbed run.

    python tests/support/chaos.py --kills 20        # or: make chaos

Each round starts from nothing, is killed once with SIGKILL (Snakemake, a job of it, or both, in turn), and is continued
with the README's command. It must end with the same results.csv, timings aside, no process and no lock left. Beside the
rounds, the same study runs in another folder, again and again: it must never notice. Then a training runs out of memory
and, as root, the study out of disk. The times of the kills, as shares of an undisturbed run's, follow from --seed.
"""

import argparse
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import psutil
import yaml
from tiny_study import Project, read_reproducible

CONFIG = "config/test/chaos.yaml"
# Two trainings at a time: without a GPU, the "GPUs" are the two cores.
RUN = ("--cores", "2", "--resources", "gpu=2")
# All up to the tables; the pictures, which nothing depends on, would double the time.
TABLES = ("results/chaos/leaderboard.md", "results/chaos/findings.md")
VICTIMS = ("snakemake", "job", "both")


def results(project: Project) -> str:
    """results.csv without timings, as text."""
    return read_reproducible(project.folder / "results/chaos/results.csv").to_csv()


def jobs(snakemake: int) -> list[psutil.Process]:
    """The running scripts of a Snakemake process, trainings first."""
    running = []
    for process in psutil.Process(snakemake).children(recursive=True):
        try:
            arguments = process.cmdline()
        except psutil.Error:
            continue
        if arguments and "python" in arguments[0] and any("workflow/scripts/" in part for part in arguments):
            running.append(process)
    return sorted(running, key=lambda process: not any("train_" in part for part in process.cmdline()))


def processes_in(folder: Path) -> list[psutil.Process]:
    """Processes that work in ``folder``: orphans, when no run does."""

    def works_there(process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder
        except psutil.Error:
            return False

    return [process for process in psutil.process_iter() if works_there(process)]


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Whether ``condition`` came true within some seconds."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def run_and_kill(
    project: Project, victim: str, when: Callable[[], object], *wanted: str, configfile: str = CONFIG
) -> bool:
    """Start the study, kill ``victim`` once ``when`` is true; False if the run was over before."""
    with (project.folder / "killed.log").open("w") as log:
        command = project.command(*wanted, *RUN, configfile=configfile)
        snakemake = subprocess.Popen(**command, stdout=log, stderr=log, start_new_session=True)
        try:
            until(lambda: when() or snakemake.poll() is not None, 600)
            until(lambda: victim == "snakemake" or snakemake.poll() is not None or jobs(snakemake.pid), 600)
            if snakemake.poll() is not None:
                return False
            victims = [] if victim == "job" else [snakemake.pid]
            if victim != "snakemake":
                victims += [job.pid for job in jobs(snakemake.pid)[:1]]
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
        finally:
            # A run that lost a job ends by itself; this also reaps a killed one.
            snakemake.wait(timeout=600)
        return True


def resume(project: Project, *wanted: str, configfile: str = CONFIG) -> None:
    """Continue a killed run with the commands of `make resume`, at once: jobs left over may still be there.

    Raises:
        AssertionError: if the run fails.
    """
    for step in (("--unlock", *RUN), (*wanted, *RUN)):
        done = project.snakemake(*step, configfile=configfile)
        assert done.returncode == 0, done.stdout + done.stderr


def leftovers(project: Project) -> list[Path]:
    """Locks and training states that a finished run should not have."""
    locks = project.folder / ".snakemake" / "locks"
    return [*locks.glob("*"), *project.folder.glob("runs/*/*/*/state/*/*")]


def start_over(project: Project) -> None:
    """Delete all that was computed."""
    for name in ("runs", "results", ".snakemake"):
        shutil.rmtree(project.folder / name)


class Neighbour(threading.Thread):
    """The same study in another folder, run from nothing again and again."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.project = Project(folder)
        self.results: list[str] = []
        self.failure = ""
        self._ended = threading.Event()

    def run(self) -> None:
        """Run until :meth:`end` is called or a run fails."""
        while not self._ended.is_set():
            done = self.project.snakemake(*TABLES, "--cores", "1", "--resources", "gpu=1", configfile=CONFIG)
            if done.returncode:
                self.failure = done.stdout + done.stderr
                return
            self.results.append(results(self.project))
            start_over(self.project)

    def end(self) -> list[str]:
        """The results of all runs, the last of which is waited for.

        Raises:
            AssertionError: if one failed.
        """
        self._ended.set()
        self.join()
        assert not self.failure, f"the study in another folder: {self.failure}"
        return self.results


def rounds(project: Project, neighbour: Neighbour, kills: int, seed: int) -> Iterator[str]:
    """A line per kill, and one for each other kind of failure.

    Raises:
        AssertionError: if a continued run, or one of the ``neighbour``, differs from the undisturbed one.
    """
    started = time.monotonic()
    done = project.snakemake(*TABLES, *RUN, configfile=CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    duration, expected = time.monotonic() - started, results(project)
    yield f"undisturbed: {duration:.0f} s, {len(pd.read_csv(io.StringIO(expected)))} experiments"
    neighbour.start()
    chance = random.Random(seed)
    number = 0
    while number < kills:
        start_over(project)
        victim, delay = VICTIMS[number % len(VICTIMS)], chance.uniform(0.05, 0.95) * duration
        due = time.monotonic() + delay
        if not run_and_kill(project, victim, lambda due=due: time.monotonic() > due, *TABLES):
            yield f"over before {delay:.0f} s: does not count"
            continue
        number += 1
        resume(project, *TABLES)
        assert results(project) == expected, f"kill {number}: the results differ"
        assert not leftovers(project), f"kill {number}: {leftovers(project)}"
        assert not processes_in(project.folder), f"kill {number}: orphans {processes_in(project.folder)}"
        yield f"kill {number}: {victim} after {delay:.0f} s: same results"
    undisturbed = neighbour.end()
    assert set(undisturbed) == {expected}, "the study in another folder: the results differ"
    yield f"in another folder: {len(undisturbed)} runs meanwhile, same results"
    parts = little_memory(project)
    yield f"little memory: reported, the training resumed with its batches in {parts} parts"
    if os.getuid() == 0:
        full_disk(project)
        assert results(project) == expected, "full disk: the results differ"
        yield "full disk: reported, same results with more space"


def little_memory(project: Project) -> int:
    """Train with batches that need more memory than the job may have, call again until it has ended.

    Returns the number of parts in which it took its batches in the end.
    """
    dataset = yaml.safe_load((project.folder / CONFIG).read_text())["dataset"]
    dataset |= {"name": "large_steel", "root": "runs/large_steel/source"}
    dataset["synthetic"] |= {"height": 256, "width": 512}
    large = [{"model": "unet", "batch_size": 16, "steps": 2, "eval_every": 1, "threads": 1}]
    config = project.config(CONFIG, dataset=dataset, experiments=large)
    for _ in range(7):
        command = project.command("unet", *RUN, configfile=config)
        done = subprocess.run(**command, capture_output=True, check=False, preexec_fn=limit_memory)
        output = done.stdout + done.stderr
        if done.returncode == 0:
            break
        assert "out of memory with" in output, output
        assert "The same command" in output, output
    assert done.returncode == 0, output
    (record,) = project.folder.glob("runs/large_steel/unet/*/run.json")
    parts = json.loads(record.read_text())["batch_parts"]
    assert parts > 1
    return parts


def limit_memory() -> None:
    """Allow this process and its children 3.2 GB each, of which torch reserves 2.5."""
    resource.setrlimit(resource.RLIMIT_DATA, (3200 * 2**20,) * 2)


def full_disk(project: Project) -> None:
    """Run the study on a disk that holds less than the weights of its network, then enlarge the disk and go on."""
    start_over(project)
    runs = project.folder / "runs"
    runs.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", runs], check=True)
    try:
        done = project.snakemake(*TABLES, *RUN, configfile=CONFIG)
        output = done.stdout + done.stderr
        assert done.returncode != 0, output
        assert "The disk is full" in output, output
        subprocess.run(["mount", "-o", "remount,size=2g", runs], check=True)
        resume(project, *TABLES)
    finally:
        subprocess.run(["umount", runs], check=True)


def main(argv: list[str] | None = None) -> None:
    """Run the rounds in a copy of the project."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the random times")
    args = parser.parse_args(argv)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder).resolve()
        for line in rounds(Project(top / "killed"), Neighbour(top / "other"), args.kills, args.seed):
            print(line, flush=True)
    print(f"{args.kills} of {args.kills} kills, seed {args.seed}, {(time.monotonic() - started) / 60:.0f} min")


if __name__ == "__main__":
    sys.exit(main())

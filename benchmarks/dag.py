"""What the workflow engine costs: planning a study, doing nothing, the overhead of a job, its start on a Slurm node.

    python benchmarks/dag.py [--experiments 60 1000] [--finished FOLDER]

Each figure stands beside a bare Snakefile of as many jobs, run in turn with it: what remains is Snakemake's own. Wall
and CPU seconds, medians of several runs; on a machine with other work only the CPU seconds can be compared.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))
STAGES = ("train", "predict", "calibrate", "score")
N_JOBS = 40

BARE = """
N = range({n})
STAGES = {stages}
rule all:
    default_target: True
    input: expand("out/{{n}}.{{stage}}", n=N, stage=STAGES[-1])
for before, stage in zip((None, *STAGES), STAGES):
    rule:
        name: stage
        input: [] if before is None else "out/{{n}}." + before
        output: "out/{{n}}." + stage
        shell: "{shell}"
"""


# What the Slurm plugin has a job do on its node. Its Snakemake starts a second one by srun, here without Slurm.
ON_NODE = (
    "--allowed-rules {rule} --cores all --attempt 1 --force-use-threads --force --target-files-omit-workdir-adjustment"
    " --max-inventory-time 0 --retries 0 --nocolor --no-hooks --nolock --ignore-incomplete --latency-wait 0"
    " --executor slurm-jobstep --jobs 1 --mode remote"
)
SRUN = """#!/bin/sh
while case "$1" in -*) true;; *) false;; esac; do shift; done
exec "$@"
"""


def timed(command: Sequence[str], folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds of a command; the command must succeed."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed in {folder}:\n{done.stdout}{done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def side_by_side(label: str, commands: dict[str, tuple[Sequence[str], Path]], repeats: int) -> dict[str, float]:
    """Run the commands in turn, print the medians, return the median wall seconds of each."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, (command, folder) in commands.items():
            times[name].append(timed(command, folder))
    medians = {name: statistics.median(wall for wall, _ in runs) for name, runs in times.items()}
    for name, runs in times.items():
        cpu = statistics.median(cpu for _, cpu in runs)
        print(f"{label:<34}{name:<18}{medians[name]:8.2f} s wall{cpu:8.2f} s CPU", flush=True)
    return medians


def study(folder: Path, n: int) -> Path:
    """A study of ``n`` networks, as a configuration file."""
    config = yaml.safe_load((ROOT / "config/test/tiny.yaml").read_text(encoding="utf-8"))
    rates = [round(1e-4 * (1 + i / 1000), 8) for i in range(n)]
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**config, "experiments": [{"model": "unet", "lr": rates}]}))
    return path


def bare(folder: Path, n: int, shell: str) -> list[str]:
    """A Snakefile of ``n`` chains of four jobs and nothing else."""
    (folder / "Snakefile").write_text(BARE.format(n=n, stages=STAGES, shell=shell))
    return [SNAKEMAKE, "--cores", "1", "--quiet", "all"]


def planning(n: int, repeats: int) -> None:
    """`snakemake -n` of n experiments."""
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as plain:
        command = [SNAKEMAKE, "-s", str(ROOT / "Snakefile"), "-n", "--quiet", "all", "--cores", "1"]
        command += ["--workflow-profile", str(ROOT / "profiles/default")]
        command += ["--configfile", str(study(Path(ours), n))]
        both = {"ours": (command, Path(ours)), "bare Snakefile": ([*bare(Path(plain), n, "true"), "-n"], Path(plain))}
        side_by_side(f"plan {n} experiments", both, repeats)


def node_start(n: int, repeats: int) -> None:
    """A job of a study of n experiments on a Slurm node: nearly all is its start, the script takes a quarter second."""
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as plain:
        tools = Path(plain, "tools")
        tools.mkdir()
        (tools / "srun").write_text(SRUN)
        (tools / "srun").chmod(0o755)
        os.environ |= {"PATH": f"{tools}:{os.environ['PATH']}", "SLURM_JOB_ID": "1"}
        config = study(Path(ours), n)
        project = [SNAKEMAKE, "-s", str(ROOT / "Snakefile"), "--configfile", str(config)]
        subprocess.run([*project, "-n", "--quiet", "all"], cwd=ours, check=True, capture_output=True)
        job = [*project, "--target-jobs", "synthesize:", *ON_NODE.format(rule="synthesize").split()]
        bare(Path(plain), n, "touch {output}")
        train = [SNAKEMAKE, "--target-jobs", "train:n=0", *ON_NODE.format(rule="train").split()]
        both = {"ours": (job, Path(ours)), "bare Snakefile": (train, Path(plain))}
        side_by_side(f"start of a job of {n} experiments", both, repeats)


def overhead(repeats: int) -> None:
    """Seconds per job of our rules' shell besides the script: prefix, log, benchmark; and of a bare rule."""
    with (
        tempfile.TemporaryDirectory() as ours,
        tempfile.TemporaryDirectory() as plain,
        tempfile.TemporaryDirectory() as x,
    ):
        empty = [SNAKEMAKE, "--cores", "1", "--quiet", "all"]
        (Path(x) / "Snakefile").write_text("rule all:\n    shell: 'true'\n")
        command = bare(Path(ours), N_JOBS // len(STAGES), "python -c pass 2>&1 | tee {output}")
        text = (
            (Path(ours) / "Snakefile")
            .read_text()
            .replace("        shell:", "        benchmark: 'b/{n}.' + stage\n        shell:")
        )
        setup = f'include: "{ROOT}/rules/setup.smk"\n'
        (Path(ours) / "Snakefile").write_text(setup + text)
        loop = f"mkdir -p out; for i in $(seq {N_JOBS}); do {sys.executable} -c pass | tee out/$i; done"
        medians = side_by_side(
            f"{N_JOBS} jobs",
            {
                "ours": ([*command, "--forceall"], Path(ours)),
                "bare Snakefile": (
                    [*bare(Path(plain), N_JOBS // len(STAGES), "touch {output}"), "--forceall"],
                    Path(plain),
                ),
                "shell loop": (["bash", "-c", loop], Path(x)),
                "Snakemake alone": (empty, Path(x)),
            },
            repeats,
        )
        per_job = (medians["ours"] - medians["Snakemake alone"] - medians["shell loop"]) / N_JOBS
        print(f"overhead of a job besides its script: {per_job:.3f} s")


def main(argv: list[str] | None = None) -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, nargs="+", default=[60, 1000])
    parser.add_argument("--finished", type=Path, help="folder where the default study has run, for a run with no work")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args(argv)

    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for n in args.experiments:
        planning(n, args.repeats)
        node_start(n, args.repeats)
    if args.finished:
        nothing = [SNAKEMAKE, "--cores", "1", "--quiet", "all"]
        side_by_side("nothing to be done", {"ours": (nothing, args.finished)}, args.repeats)
    overhead(args.repeats)


if __name__ == "__main__":
    main()

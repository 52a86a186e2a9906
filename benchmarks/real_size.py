"""What a study costs at real size besides its trainings: planning, the scheduler, memory, disk and scoring.

    python benchmarks/real_size.py [--images 12568] [--folder FOLDER]

A synthetic copy of the Severstal set (256 × 1600), one U-Net of a few steps and two reference methods. The scheduler's
CPU seconds per job stand beside those of Snakemake hashing every input (`--max-checksum-file-size` above all files).
Take a FOLDER with 20 GB of space; what is there already is not made again.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil
import yaml

ROOT = Path(__file__).resolve().parents[1]
SNAKEMAKE = [str(Path(sys.executable).with_name("snakemake")), "-s", str(ROOT / "Snakefile"), "--cores", "2"]
PROFILE = ("--workflow-profile", str(ROOT / "profiles/default"), "--quiet", "all")
HASH_ALL = ("--max-checksum-file-size", "1000000000000")
EXPERIMENTS = [{"model": "unet"}, {"model": "unet", "task": "per_class"}, {"model": ["all_empty", "tophat_otsu"]}]
DEFAULTS = {"encoder": "tu-test_resnet", "batch_size": 2, "steps": 4, "eval_every": 4}
JOBS = ("train_reference", "predict_reference", "calibrate", "score")


def write_study(folder: Path, n_images: int) -> Path:
    """The study's configuration file in ``folder``."""
    dataset = {
        "name": "real",
        "format": "severstal_csv",
        "root": "runs/real/source",
        "classes": {1: "pits", 2: "cracks", 3: "scratches", 4: "patches"},
        "synthetic": {"n_images": n_images, "height": 256, "width": 1600, "seed": 1},
    }
    split = {"train": 0.8, "val": 0.1, "test": 0.1, "seed": 42}
    study = {"study": "real", "dataset": dataset, "split": split, "defaults": DEFAULTS, "experiments": EXPERIMENTS}
    path = folder / "real.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def run(folder: Path, *arguments: str) -> tuple[float, float]:
    """Wall seconds of a call of Snakemake, and CPU seconds of its own process, without its jobs."""
    command = [*SNAKEMAKE, "--configfile", "real.yaml", *PROFILE, *arguments]
    started, own = time.perf_counter(), 0.0
    with tempfile.TemporaryFile("w+") as log:
        process = psutil.Popen(command, cwd=folder, stdout=log, stderr=log)
        while process.poll() is None:
            try:
                used = process.cpu_times()
                own = used.user + used.system
            except psutil.NoSuchProcess:
                break
            time.sleep(0.02)
        wall = time.perf_counter() - started
        if process.wait():
            log.seek(0)
            sys.exit(f"{' '.join(command)} failed in {folder}:\n{log.read()[-3000:]}")
    return wall, own


def rerun(folder: Path, n_jobs: int, *arguments: str) -> float:
    """CPU seconds of the scheduler per job, when all of a reference method is computed again."""
    force = ("--forcerun", *JOBS, "--", "reference")
    _, planned = run(folder, "-n", *arguments, *force)
    _, used = run(folder, *arguments, *force)
    return (used - planned) / n_jobs


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=12568)
    parser.add_argument("--folder", type=Path, help="default: a temporary one")
    args = parser.parse_args(argv)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        write_study(folder, args.images)
        wall, _ = run(folder, "--", "runs/real/packed/masks.parquet")
        print(f"data to packs: {wall:.0f} s", flush=True)
        for label, extra in (("ours", ()), ("all hashed", HASH_ALL)):
            wall, own = run(folder, "-n", *extra)
            print(f"plan, packs made, nothing trained, {label}: {wall:.1f} s, {own:.1f} s of CPU", flush=True)
        wall, _ = run(folder, "--", "results/real/leaderboard.md")
        print(f"all up to the leaderboard: {wall:.0f} s", flush=True)
        wall, own = run(folder, "-n", "--", "results/real/leaderboard.md")
        print(f"plan, nothing to do: {wall:.1f} s, {own:.1f} s of CPU", flush=True)
        n_jobs = len(JOBS) * 2
        for label, extra in (("ours", ()), ("all hashed", HASH_ALL)):
            print(f"scheduler per job, {label}: {rerun(folder, n_jobs, *extra):.2f} s of CPU", flush=True)
        print_jobs(folder)
        print_disk(folder)


def print_jobs(folder: Path) -> None:
    """Seconds and memory of the jobs, and of scoring per map."""
    for path in sorted((folder / "runs/real").glob("**/benchmarks/*.tsv")):
        row = pd.read_csv(path, sep="\t").iloc[-1]
        experiment = path.parent.parent.relative_to(folder / "runs/real").as_posix().split("_full")[0]
        line = f"{experiment:<34}{path.stem:<20}{row['s']:8.1f} s{row['cpu_time']:8.1f} s CPU{row['max_pss']:8.0f} MB"
        if path.stem in ("score", "calibrate"):
            roles = pd.read_csv(folder / "runs/real/split.csv")["role"].value_counts()
            maps = (roles["val"] + roles["test"] * (path.stem == "score")) * (4 if "per-class" in str(path) else 1)
            line += f"{1000 * row['cpu_time'] / maps:8.1f} ms CPU a map of {maps}"
        print(line)


def print_disk(folder: Path) -> None:
    """Sizes of packs, weights and score maps."""
    for pattern in ("packed/*.bin", "*/*/model/*.safetensors", "*/*/*.pred.parquet"):
        for path in sorted((folder / "runs/real").glob(pattern)):
            name = path.relative_to(folder / "runs/real").as_posix()
            print(f"{name.replace('_full', '')[-90:]:<92}{path.stat().st_size / 1e6:10.1f} MB")


if __name__ == "__main__":
    main()

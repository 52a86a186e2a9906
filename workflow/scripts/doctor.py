"""Check the installation, the machine and the study before anything runs."""

import argparse
import importlib.metadata
import importlib.util
import os
import shutil
import sys
from pathlib import Path

import yaml
from packaging.requirements import Requirement

from defectbench.config.base import ConfigError
from defectbench.config.study import load_study

ROOT = Path(__file__).resolve().parents[2]
GIB = 2**30


def main(argv: list[str] | None = None) -> None:
    """Print one line per check; exit 1 if one of them fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configfile", type=Path, default=ROOT / "config" / "config.yaml", help="the study to check")
    args = parser.parse_args(argv)

    checks = [python_version(), packages(ROOT / "requirements.lock"), devices(), disk(), *study(args.configfile)]
    for ok, line in checks:
        print(f"{LABELS[ok]} {line}")
    if any(ok is False for ok, _ in checks):
        raise SystemExit(1)


Check = tuple[bool | None, str]
"""Whether all is well, None for a warning; and a line that says what was found."""
LABELS = {True: "ok     ", False: "PROBLEM", None: "warning"}


def python_version() -> Check:
    """Python must be 3.11.4 or newer: earlier ones unpack archives less safely."""
    return sys.version_info >= (3, 11, 4), f"Python {sys.version.split()[0]} ({sys.executable})"


def packages(lock: Path) -> Check:
    """Every package of the lock file must be installed in the pinned version."""
    lines = [line.rstrip(" \\") for line in lock.read_text().splitlines() if line[:1].isalnum()]
    pins = [Requirement(line) for line in lines]
    wrong = []
    for pin in pins:
        if pin.marker is not None and not pin.marker.evaluate():
            continue
        try:
            installed = importlib.metadata.version(pin.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{pin.name} missing")
            continue
        if installed not in pin.specifier:
            wrong.append(f"{pin.name} {installed}, should be {pin.specifier}")
    if wrong:
        return False, f"packages: {len(wrong)} differ from requirements.lock ({'; '.join(wrong[:5])}); run `make env`"
    return True, f"packages: all {len(pins)} as pinned in requirements.lock"


def devices() -> Check:
    """The hardware that torch would use; a machine without a GPU is not a problem."""
    if importlib.util.find_spec("torch") is None:
        return False, "torch is not installed; run `make env`"
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return True, f"GPU: {', '.join(names)}"
    return True, f"no GPU: networks train on {os.cpu_count()} CPU cores"


def disk() -> Check:
    """Room for packs and predictions in the working folder."""
    free = shutil.disk_usage(Path.cwd()).free / GIB
    return free > 2, f"disk: {free:.0f} GiB free in {Path.cwd()}"


def study(configfile: Path) -> list[Check]:
    """The study's configuration and data."""
    try:
        config = yaml.safe_load(configfile.read_text(encoding="utf-8"))
        loaded = load_study(config, str(configfile))
    except FileNotFoundError:
        return [(False, f"study: no such file: {configfile}")]
    except yaml.YAMLError as error:
        return [(False, f"study: {configfile} is not YAML: {error}")]
    except ConfigError as error:
        return [(False, f"study: {configfile}: {problem}") for problem in error.problems]
    images = len(loaded.dataset.image_files())
    warnings = [
        (None, f"study: {experiment.name}: {warning}")
        for experiment in loaded.experiments
        for warning in experiment.settings.warnings(loaded.dataset.class_names)
    ]
    line = f"study: {loaded.name}, {len(loaded.experiments)} experiments on {images} images ({configfile})"
    return [(True, line), *warnings]


if __name__ == "__main__":
    main()

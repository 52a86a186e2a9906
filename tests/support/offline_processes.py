"""The environment of processes that tests start, by which these refuse connections to other machines as well."""

import os
from pathlib import Path

FOLDER = Path(__file__).with_name("offline")


def python_path(*folders: Path) -> str:
    """PYTHONPATH of a Python process that refuses connections and imports from ``folders``."""
    return os.pathsep.join(map(str, [FOLDER, *folders]))


def offline_environment() -> dict[str, str]:
    """Variables for Python, and for a Snakemake whose jobs have a PYTHONPATH of their own."""
    return {"PYTHONPATH": python_path(), "BASH_ENV": str(FOLDER / "python.sh")}

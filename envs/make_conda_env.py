"""Write the environment of `snakemake --sdm conda`, envs/defectbench.yaml and its script, from requirements.lock.

Snakemake copies both elsewhere before they are used, so the pins stand in them instead of a path to the lock.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAD = """\
# Made by `make lock` from requirements.lock; do not edit.
channels: [conda-forge, nodefaults]
dependencies:
  - python =3.11
  - pip
  - gcc_linux-64
  - pip:
"""
POST_DEPLOY = """\
#!/usr/bin/env bash
# Made by `make lock` from requirements.lock; do not edit.
# ultralytics asks for opencv-python, whose cv2 overwrites the headless one and needs a display library.
set -euo pipefail
python -m pip uninstall --yes opencv-python opencv-python-headless
python -m pip install --no-deps --only-binary :all: --require-hashes --requirement /dev/stdin <<'END'
{pin}
END
"""


def read_pins(lock: str) -> list[str]:
    """The pins of a lock file's text, with markers and hashes, one line each."""
    joined = re.sub(r"\\\n\s*", "", lock)
    return [line.strip() for line in joined.splitlines() if line[:1].isalnum()]


def conda_env(lock: str) -> str:
    """The conda file for a lock file's text."""
    pins = read_pins(lock)
    # pip, unlike uv, installs what ultralytics asks for; defectbench.post-deploy.sh puts it right.
    pins = [pin.replace(" ; sys_platform == 'never'", "") for pin in pins]
    return HEAD + "".join(f"      - {pin!r}\n" if "'" not in pin else f'      - "{pin}"\n' for pin in pins)


def post_deploy(lock: str) -> str:
    """The script that Snakemake runs in the new environment, for a lock file's text."""
    (pin,) = (pin for pin in read_pins(lock) if pin.startswith("opencv-python-headless=="))
    return POST_DEPLOY.format(pin=pin)


if __name__ == "__main__":
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    (ROOT / "envs" / "defectbench.yaml").write_text(conda_env(lock), encoding="utf-8")
    (ROOT / "envs" / "defectbench.post-deploy.sh").write_text(post_deploy(lock), encoding="utf-8")

"""Write envs/defectbench.yaml, the environment of `snakemake --sdm conda`, from requirements.lock.

Snakemake copies the file elsewhere before conda reads it, so the pins stand in it instead of a path to the lock.
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


def conda_env(lock: str) -> str:
    """The conda file for a lock file's text: the same pins, markers and hashes, one line each."""
    joined = re.sub(r"\\\n\s*", "", lock)
    pins = [line.strip() for line in joined.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    # pip, unlike uv, installs what ultralytics asks for; defectbench.post-deploy.sh puts it right.
    pins = [pin.replace(" ; sys_platform == 'never'", "") for pin in pins]
    return HEAD + "".join(f"      - {pin!r}\n" if "'" not in pin else f'      - "{pin}"\n' for pin in pins)


if __name__ == "__main__":
    text = conda_env((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    (ROOT / "envs" / "defectbench.yaml").write_text(text, encoding="utf-8")

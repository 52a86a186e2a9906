"""What the tiny study leaves behind, compared with the list in tests/workflow/left_behind.csv.

    python tests/support/left_behind.py

runs the study in a folder of its own and writes the list again; look at its difference before you commit it.
"""

import csv
import fnmatch
import hashlib
import re
import tempfile
from pathlib import Path

from tiny_study import LOG, PARTS, ROOT, finished_study

LIST = ROOT / "tests" / "workflow" / "left_behind.csv"
LISTING = "left_behind.json"
"""File in which the fixture ``project`` notes what its run left."""
IGNORED = {
    ".snakemake/*": "the engine's own records",
    "*__pycache__*": "compiled code",
    "*/.snakemake_timestamp": "the engine's mark in folders that are outputs",
    "runs/*/source/train_images/*": "images, one for each",
    LOG: "what the tests note of the run",
}
# Their content follows from settings and images' names and areas alone: neither from trainings, clocks and floats that
# a processor may round otherwise, nor from how a library writes files.
STABLE = (
    *("*/settings/*.yaml", "*/split.csv", "*/split_table.csv", "*/subsets/*.csv"),
    *("*/issues.csv", "*/ingest_notes.csv", "*/leaks.csv"),
)


def list_left_behind(folder: Path) -> dict[str, str]:
    """Path -> digest of its content, empty where it is not stable, of all that a run left in a project's ``folder``.

    Experiments of a family count as one folder, and the scores in the names of checkpoints as none; the digest is of
    the contents of all files of that path.
    """
    contents: dict[str, list[bytes]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.relative_to(folder).parts[0] in PARTS:
            continue
        if not any(fnmatch.fnmatch(name, pattern) for pattern in IGNORED):
            name = re.sub(r"^(runs/\w+/\w+)/\w[\w-]*_s\d+/", r"\1/EXPERIMENT/", name)
            name = re.sub(r"_iou[\d.]+_dice[\d.]+(?=\.safetensors)", "_SCORES", name)
            contents.setdefault(name, []).append(path.read_bytes())
    stable = {name for name in contents if any(fnmatch.fnmatch(name, pattern) for pattern in STABLE)}
    return {
        name: hashlib.sha256(b"\0".join(found)).hexdigest()[:16] if name in stable else ""
        for name, found in contents.items()
    }


def read_list() -> dict[str, str]:
    """The list that is committed."""
    with LIST.open(newline="") as file:
        return {row["path"]: row["digest"] for row in csv.DictReader(file)}


def main() -> None:
    """Run the study, and write the list."""
    with tempfile.TemporaryDirectory() as folder:
        found = list_left_behind(finished_study(Path(folder) / "project").folder)
    with LIST.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("path", "digest"), *sorted(found.items())])


if __name__ == "__main__":
    main()

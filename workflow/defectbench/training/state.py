"""State folder of a running training: checkpoints that a killed training resumes from."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from defectbench.files import read_json, write_json
from defectbench.private_folder import open_lock
from defectbench.script import UserError


class TrainingError(UserError):
    """A training that cannot continue."""


def fingerprint(*parts: str | bytes) -> str:
    """Digest (16 hex digits) of all inputs of a training: a state is resumed only if it is the same."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8) + data)
    return digest.hexdigest()[:16]


def note_device(folder: Path, device: str) -> list[str]:
    """Names of all devices that the training in the state ``folder`` has run on, now ``device`` too."""
    path = folder / "devices.json"
    devices = read_json(path) if path.is_file() else []
    if device not in devices and is_first_process():
        devices.append(device)
        write_json(path, devices)
    return devices


def is_first_process() -> bool:
    """Whether this is the first, or only, process of a training; Lightning numbers them in LOCAL_RANK."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


@contextmanager
def training_state(folder: Path, key: str) -> Iterator[Path]:
    """The folder of the training state ``key``, locked; it is removed when the block ends without an error.

    States of other keys are removed: they belong to other settings, data or code. Further processes of a training on
    several devices share the folder that the first one has locked.

    Raises:
        TrainingError: if another process, such as one left over from a killed run, has locked it.
    """
    if not is_first_process():
        yield folder / key
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open_lock(folder / "lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(f"another process is training in {folder}; wait for it or stop it") from None
        for stale in folder.iterdir():
            if stale.is_dir() and stale.name != key:
                shutil.rmtree(stale)
        (folder / key).mkdir(exist_ok=True)
        yield folder / key
        # Renamed first, so that a kill leaves no half of a state.
        shutil.rmtree((folder / key).rename(folder / f"{key}.done"))

"""Reading of data sets in processes with little memory and time.

``python limited.py`` is a server of such processes: each line that it reads is a request, ``[what, path]`` as JSON, and
each line that it writes tells what came of it. The libraries are imported once; each request is handled by a fork.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from defectbench.config.ingest import read_dataset_settings
from defectbench.config.split import SplitSettings
from defectbench.data import archives, hugging_face
from defectbench.data.discovery import find_candidates
from defectbench.data.discovery.folder import Folder
from defectbench.data.discovery.trial import read_on_trial
from defectbench.data.given_roles import read_roles
from defectbench.data.images import decode_image, read_header
from defectbench.data.ingest import ingest
from defectbench.script import UserError

MEMORY = int(os.environ.get("LIMITED_MEGABYTES", 512)) * 2**20
"""Address space beyond that of the libraries, bytes."""
SECONDS = int(os.environ.get("LIMITED_SECONDS", 4))
"""Processor time; what waits may take three times as long."""


def read_dataset(path: Path) -> str:
    """Ingest the dataset with the settings ``path``/ingest.yaml."""
    found = ingest(read_dataset_settings(path / "ingest.yaml"), path / "found.csv", threads=1)
    return f"{len(found.manifest.frame)} images"


def read_given_roles(path: Path) -> str:
    """Read the roles that a table or else lists give the images of a dataset."""
    table = {"path": "split.csv", "image_column": "image", "role_column": "split", "roles": {"train": "train"}}
    how = {"file": table} if (path / "split.csv").exists() else {"from_folders": True}
    roles = read_roles([], SplitSettings.model_validate(how), read_dataset_settings(path / "ingest.yaml"))
    return f"{len(roles.roles if roles else [])} roles"


def unpack_archive(path: Path) -> str:
    """Unpack an archive into a folder beside it."""
    archives.unpack(path, path.with_name("out"))
    return f"{len([*path.with_name('out').rglob('*')])} files"


def unpack_rows(path: Path) -> str:
    """Unpack a dataset of Hugging Face into a folder beside it."""
    return f"{hugging_face.unpack(path, path.with_name('out')).images} images"


def propose_study(path: Path) -> str:
    """Read a folder in all ways in which it may be meant, as ``make study`` does."""
    folder = Folder(path)
    trials = [read_on_trial(candidate, folder, "any", threads=1) for candidate in find_candidates(folder)]
    return "; ".join(f"{trial.candidate.key}: {trial.failure or len(trial.frame)}" for trial in trials)


def decode(path: Path) -> str:
    """Decode an image file."""
    data = path.read_bytes()
    read_header(data)
    return str(decode_image(data).shape)


_ACTIONS: dict[str, Callable[[Path], str]] = {
    action.__name__: action
    for action in (read_dataset, read_given_roles, unpack_archive, unpack_rows, propose_study, decode)
}


def _serve() -> None:
    for line in sys.stdin:
        what, path = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, json.dumps(_limited(_ACTIONS[what], Path(path))).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            answer = pipe.read()
        status = os.waitpid(child, 0)[1]
        print(answer or json.dumps({"said": f"killed by {signal.Signals(os.WTERMSIG(status)).name}"}), flush=True)


def _limited(action: Callable[[Path], str], path: Path) -> dict[str, Any]:
    """What an action says, its greatest memory beyond that of the libraries (MB) and its processor time (s)."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS,) * 2)
    signal.alarm(3 * SECONDS)
    try:
        said = action(path)
    except UserError as error:
        said = f"refused: {error}"
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
    after = resource.getrusage(resource.RUSAGE_SELF)
    megabytes = (after.ru_maxrss - before.ru_maxrss) // 1024
    return {"said": said[:10_000], "megabytes": megabytes, "seconds": round(after.ru_utime + after.ru_stime, 2)}


if __name__ == "__main__":
    _serve()

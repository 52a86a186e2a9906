"""What every script shares: a plain message for expected errors, and no life of its own after its run was killed."""

import errno
import functools
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

Main = Callable[..., None]
POLL_SECONDS = 1.0


class UserError(Exception):
    """An error that the user can act on: the message says what is wrong, where, and what to do."""


def required(path: Path | None, option: str) -> Path:
    """``path``, which is given by ``option``.

    Raises:
        UserError: if it was not given.
    """
    if path is None:
        raise UserError(f"{option} is required by this experiment's settings, but was not given")
    return path


def run_script(main: Main) -> Main:
    """Let ``main`` end with exit status 1 and a message alone on stderr if the user can act on the error.

    Those are a :class:`UserError`, a full disk and too little memory. In a Snakemake job the process ends soon after
    Snakemake's, whose number is in ``DEFECTBENCH_RUN``: a job left over from a killed run would disturb the next one.
    If that is gone before ``main`` starts, after a slow import, ``main`` does not start at all.
    """

    @functools.wraps(main)
    def wrapped(argv: list[str] | None = None) -> None:
        if run := int(os.environ.get("DEFECTBENCH_RUN", 0)):
            if not _is_alive(run):
                raise SystemExit(1)
            threading.Thread(target=_end_with, args=(run,), daemon=True).start()
        try:
            main(argv)
        except UserError as error:
            message = str(error)
        except Exception as error:
            if (message := _lack_of_means(error)) is None:
                raise
        else:
            return
        print(message, file=sys.stderr)
        raise SystemExit(1)

    return wrapped


def _end_with(pid: int) -> None:
    while _is_alive(pid):
        time.sleep(POLL_SECONDS)
    os._exit(1)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _lack_of_means(error: BaseException) -> str | None:
    """What to do about a full disk or too little memory; None for other errors. Libraries say it in many words."""
    text = str(error)
    # The last two are torch's, of a checkpoint that could not be written.
    full = ("No space left", "PytorchStreamWriter failed", ". unexpected pos ")
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(words in text for words in full):
        return f"The disk is full. Free some space, then run the same command again: finished work is kept. {text}"
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or "can't allocate" in text:
        return (
            "Out of memory. Allow the job more (mem_mb), run fewer jobs at once, or set a smaller batch_size, then run"
            f" the same command again: finished work is kept. {text}"
        )
    return _lack_of_means(error.__context__) if error.__context__ else None

"""The wrapper of every script's ``main``: plain messages for expected errors; exits when the parent Snakemake dies."""

import errno
import functools
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from defectbench.printable import printable

Main = Callable[..., None]
POLL_SECONDS = 1.0


class UserError(Exception):
    """An error that the user can act on: the message says what is wrong, where, and what to do."""

    def __str__(self) -> str:
        """The message; text in it that comes from data cannot command a terminal."""
        return printable(super().__str__())


def required(path: Path | None, option: str) -> Path:
    """``path``, which is given by ``option``.

    Raises:
        UserError: if it was not given.
    """
    if path is None:
        raise UserError(f"{option} is required by this experiment's settings, but was not given")
    return path


def run_script(main: Main) -> Main:
    """Decorate ``main``: errors that the user can act on become a message on stderr and exit status 1.

    Such errors are a :class:`UserError`, a full disk and too little memory; others keep their traceback. In a
    Snakemake job the process exits soon after Snakemake's, whose id is in ``DEFECTBENCH_RUN``: a job left over from a
    killed run would disturb the next one. If Snakemake has died before ``main`` starts (imports are slow), ``main`` is
    not called.
    """

    @functools.wraps(main)
    def wrapped(argv: list[str] | None = None) -> None:
        if parent := int(os.environ.get("DEFECTBENCH_RUN", 0)):
            if not _is_alive(parent):
                raise SystemExit(1)
            threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()
        try:
            main(argv)
        except Exception as error:
            message = str(error) if isinstance(error, UserError) else _resource_message(error)
            if message is None:
                raise
            print(message, file=sys.stderr)
            raise SystemExit(1) from None

    return wrapped


def _exit_after(pid: int) -> None:
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


def _resource_message(error: BaseException) -> str | None:
    """What to do about a full disk or too little memory; None for other errors. Libraries word these differently."""
    text = printable("; ".join([str(error), *getattr(error, "__notes__", ())]))
    # The last two are torch's, of a checkpoint that could not be written.
    disk_full = ("No space left", "PytorchStreamWriter failed", ". unexpected pos ")
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(words in text for words in disk_full):
        return f"The disk is full. Free some space, then run the same command again: finished work is kept. {text}"
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or "can't allocate" in text:
        return (
            "Out of memory. Allow the job more (mem_mb), run fewer jobs at once, or set a smaller batch_size, then run"
            f" the same command again: finished work is kept. {text}"
        )
    return _resource_message(error.__context__) if error.__context__ else None

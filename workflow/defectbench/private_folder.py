"""Folders and locks at places where other users of the machine may write too, such as the one for temporary files."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from defectbench.script import UserError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class PrivateFolderError(UserError):
    """A folder that others could have prepared, or may still change."""


@contextlib.contextmanager
def private_folder(folder: Path, remedy: str) -> Iterator[int]:
    """Make ``folder``, which only this user can enter, unless it is there; yields a descriptor of the open folder.

    Raises:
        PrivateFolderError: if it is no folder of this user's, or others may write to it; ``remedy`` ends the message.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    try:
        descriptor = os.open(folder, _FOLDER)
    except OSError:
        raise PrivateFolderError(f"{folder} is no folder of yours, but a link, or another user's: {remedy}") from None
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            raise PrivateFolderError(f"{folder} belongs to another user (id {status.st_uid}): {remedy}")
        if status.st_mode & 0o022:
            raise PrivateFolderError(f"others may write to {folder}, which must be yours alone: {remedy}")
        os.fchmod(descriptor, 0o700)
        yield descriptor
    finally:
        os.close(descriptor)


def open_lock(path: str | Path, folder: int | None = None) -> TextIO:
    """Open the file ``path``, made if it is not there and never emptied, for ``flock``.

    ``path`` is relative to the open ``folder``, if one is given.

    Raises:
        PrivateFolderError: if it is no plain file, such as a link, which leads to a file of somebody else's choice.
    """
    try:
        return os.fdopen(os.open(path, _LOCK, 0o666, dir_fd=folder), "r+", encoding="utf-8")
    except OSError as error:
        raise PrivateFolderError(
            f"the lock file {path} cannot be opened ({error.strerror or error}): remove it"
        ) from None

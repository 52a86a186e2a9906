"""The one walk over folders of data, for all readers and for new images: what is there, and what is passed over."""

import heapq
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from defectbench.printable import is_printable
from defectbench.script import UserError

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Suffixes of the images and masks that are read, in lower case."""
_OF_SYSTEMS = frozenset(
    {
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "__macosx",
        "__pycache__",
        "@eadir",
        "#recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
    }
)
"""Names, in lower case, of what systems and tools leave in folders; what begins with a point is taken for such too."""


class WalkError(UserError):
    """A folder that cannot be read, or a name in it that cannot be used."""


class PassedOver(NamedTuple):
    """A file or folder that the walk leaves out."""

    path: Path
    reason: str


@dataclass
class Walk:
    """What a walk found below its folder."""

    files: list[Path] = field(default_factory=list)
    """Regular files and links to such, sorted by their path below the folder, with '/'."""
    passed_over: list[PassedOver] = field(default_factory=list)
    """Files and folders of systems and tools, broken links, links to what is walked anyway, and what is no file."""
    leaving: list[Path] = field(default_factory=list)
    """Links, followed all the same, to files and folders outside the folder that the data should be in."""


def walk(folder: Path, root: Path | None = None) -> Walk:
    """Walk over all that is below ``folder``; nothing is found if there is no such folder.

    Linked folders are followed, each folder once, so that links in circles end; what is there without a link comes
    first. A link leaves the data if it leads outside of ``root``, by default ``folder``.

    Raises:
        WalkError: if a folder cannot be read, or a name holds characters that cannot be shown, such as line breaks.
    """
    found = Walk()
    if not folder.is_dir():
        return found
    inside = (root or folder).resolve()
    seen = {os.path.realpath(folder)}
    waiting = [str(folder)]
    linked: list[str] = []  # a heap: the order does not depend on the disk's
    while waiting or linked:
        # Links are followed after all that has a place of its own.
        here = waiting.pop() if waiting else _next_linked(linked, seen, found)
        if here is None:
            continue
        for entry in _entries(here):
            path = Path(entry.path)
            if entry.name.startswith(".") or entry.name.lower() in _OF_SYSTEMS:
                found.passed_over.append(PassedOver(path, "of a system or tool"))
                continue
            if not is_printable(entry.name):
                raise WalkError(f"{here}: the name {entry.name!r} cannot be shown: rename it")
            if entry.is_symlink() and not is_inside(path, inside):
                found.leaving.append(path)
            if entry.is_dir():
                if entry.is_symlink():
                    heapq.heappush(linked, entry.path)
                else:
                    seen.add(os.path.realpath(entry.path))
                    waiting.append(entry.path)
            elif entry.is_file():
                found.files.append(path)
            else:
                found.passed_over.append(
                    PassedOver(path, "a broken link" if entry.is_symlink() else "not a file: a pipe, socket or device")
                )
    found.files.sort(key=lambda path: path.as_posix())
    found.passed_over.sort()
    found.leaving.sort()
    return found


def _next_linked(linked: list[str], seen: set[str], found: Walk) -> str | None:
    """The first linked folder by name, out of ``linked``; None, and noted, if it leads to a folder seen already."""
    path = heapq.heappop(linked)
    real = os.path.realpath(path)
    if real in seen:
        found.passed_over.append(PassedOver(Path(path), "a link to a folder that is read already"))
        return None
    seen.add(real)
    return path


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise WalkError(f"{folder}: the folder cannot be read: {error.strerror}") from None


def is_inside(path: Path, folder: Path) -> bool:
    """Whether ``path`` is below ``folder``, or leads there if it is a link."""
    return path.resolve().is_relative_to(folder.resolve())


def with_suffix(files: Iterable[Path], suffixes: Iterable[str]) -> list[Path]:
    """Those of ``files`` whose suffix, in any case, is among ``suffixes``, in the same order."""
    wanted = frozenset(suffixes)
    return [path for path in files if path.suffix.lower() in wanted]

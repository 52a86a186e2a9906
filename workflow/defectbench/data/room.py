"""Room for what is unpacked: as much as the disk has, and in proportion to what was packed."""

import os
import shutil
from pathlib import Path

from defectbench.script import UserError

MOST_RATIO = 200
"""Times its own size that data may unpack to. Pictures hardly shrink; blank ones would a thousandfold."""
MOST_FREELY = 2**28
"""Bytes that any data may unpack to."""
SHARE = 0.95
"""Of the free disk and its free entries that may be used: a full disk stops everybody else."""
_BLOCK = 2**12  # bytes that a file takes at least


class RoomError(UserError):
    """Data that would unpack to more than there is room for."""


class Room:
    """What is left of the room for the files of an archive or another packed data set."""

    def __init__(self, folder: Path, packed: int) -> None:
        """Measure the disk of ``folder``, which need not exist yet, for data of ``packed`` bytes."""
        existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
        disk = os.statvfs(existing)
        self._folder = existing
        self._most = max(MOST_RATIO * packed, MOST_FREELY)
        self._free = int(SHARE * shutil.disk_usage(existing).free)
        # Some file systems do not count their entries.
        self._entries = int(SHARE * disk.f_favail) if disk.f_files else None
        self._bytes = self._files = 0

    def take(self, n_bytes: int) -> None:
        """Set room aside for a file of ``n_bytes``, before it is written.

        Raises:
            RoomError: if there is not so much.
        """
        self._bytes += max(n_bytes, _BLOCK)
        self._files += 1
        if self._bytes > self._most:
            raise RoomError(
                f"would unpack to more than {self._most:,} bytes, {MOST_RATIO} times its size or more, as pictures do"
                " not; if it is what you mean, unpack it yourself"
            )
        if self._bytes > self._free:
            raise RoomError(f"would fill the disk of {self._folder}, of which {self._free:,} bytes may be used")
        if self._entries is not None and self._files > self._entries:
            raise RoomError(f"would fill the disk of {self._folder}, which has room for {self._entries:,} more files")

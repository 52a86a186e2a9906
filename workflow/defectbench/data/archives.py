"""Unpacking of untrusted archives: nothing is written outside the target folder, nor more than there is room for."""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any

from defectbench.data.room import Room, RoomError
from defectbench.printable import is_printable
from defectbench.script import UserError

MOST_HEADERS = 2**20
"""Bytes that tar's headers of one member may have: they are held in memory."""
# The other methods of zip unpack at once whatever a part of the file holds.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PACKED: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
# Exceptions of the standard library for archives that are damaged, encrypted or of an unknown compression.
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, RuntimeError, OSError)


class ArchiveError(UserError):
    """An archive that is damaged, or refused because of its members."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar archive (plain, gz, bz2 or xz, recognised by content) into ``folder``, which is created.

    Members with absolute paths or '..', links of any kind and devices are refused, as are names that cannot be shown.
    Archives in it stay packed. Members unpacked before the refusal stay in ``folder``: pass a temporary one.

    Raises:
        ArchiveError: naming the archive and, if one of them is refused, the member; also if it would unpack to more
            than the disk has room for, or far more than its own size.
    """
    try:
        room = Room(folder, archive.stat().st_size)
        if not _unpack_tar(archive, folder, room):
            _unpack_zip(archive, folder, room)
    except RoomError as error:
        raise ArchiveError(f"{archive}: refused, {error}") from None
    except _BROKEN as error:
        raise ArchiveError(f"{archive}: cannot be unpacked: {error}") from None


def _unpack_tar(archive: Path, folder: Path, room: Room) -> bool:
    """Unpack a tar archive; returns whether it is one."""
    with _open(archive) as stream:
        counted: Any = _Counted(stream)
        try:
            tar = tarfile.open(fileobj=counted, mode="r:")  # noqa: SIM115
        except tarfile.ReadError:
            if counted.left < 0:
                raise
            return False

        def check(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
            _check(archive, member.name, member.isfile() or member.isdir())
            room.take(member.size)
            counted.left = member.size + MOST_HEADERS
            return tarfile.data_filter(member, path)

        with tar:
            tar.extractall(folder, filter=check)
    return True


def _open(archive: Path) -> Any:
    with archive.open("rb") as file:
        start = file.read(8)
    unpacked = next((method for begin, method in _PACKED.items() if start.startswith(begin)), None)
    return unpacked(archive) if unpacked else archive.open("rb")


def _unpack_zip(archive: Path, folder: Path, room: Room) -> None:
    if not zipfile.is_zipfile(archive):
        raise zipfile.BadZipFile("not a zip or tar archive, or not all of it")
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            # Zip files made on Windows have no Unix mode.
            kind = stat.S_IFMT(info.external_attr >> 16)
            _check(archive, info.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
            if info.compress_type not in _METHODS:
                raise zipfile.BadZipFile(f"{info.filename!r} is not stored or deflated, as is usual; pack it anew")
            room.take(info.file_size)  # not more than this is written, whatever is there
        file.extractall(folder)


def _check(archive: Path, name: str, is_plain: bool) -> None:
    path = PureWindowsPath(name)  # knows drives and both slashes
    if path.drive or path.root or ".." in path.parts:
        raise ArchiveError(f"{archive}: refused, {name!r} leaves the folder it is unpacked to")
    if not is_plain:
        raise ArchiveError(f"{archive}: refused, {name!r} is neither file nor folder but a link or device")
    if not is_printable(name):
        raise ArchiveError(f"{archive}: refused, the name {name!r} cannot be shown")


class _Counted:
    """A stream for tarfile, which reads whole headers into memory, however long they are said to be."""

    def __init__(self, stream: Any) -> None:
        self.left = MOST_HEADERS
        """Bytes that may be read before the next member."""
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        """Read at most ``size`` bytes."""
        self.left -= size
        if self.left < 0:
            raise tarfile.ReadError(f"a header of more than {MOST_HEADERS:,} bytes")
        data: bytes = self._stream.read(size)
        return data

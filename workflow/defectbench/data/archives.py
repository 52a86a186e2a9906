"""Unpacking of untrusted archives: nothing is written outside the target folder."""

import lzma
import stat
import tarfile
import zipfile
import zlib
from functools import partial
from pathlib import Path, PureWindowsPath

from defectbench.script import UserError

# Exceptions of the standard library for archives that are damaged, encrypted or of an unknown compression.
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, RuntimeError, OSError)


class ArchiveError(UserError):
    """An archive that is damaged, or refused because of its members."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar archive (plain, gz, bz2 or xz, recognised by content) into ``folder``, which is created.

    Members with absolute paths or '..', links of any kind and devices are refused. Members unpacked before
    the refusal stay in ``folder``: pass a temporary one.

    Raises:
        ArchiveError: naming the archive and, if one of them is refused, the member.
    """
    try:
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter=partial(_checked_member, archive))
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                for info in file.infolist():
                    # Zip files made on Windows have no Unix mode.
                    kind = stat.S_IFMT(info.external_attr >> 16)
                    _check(archive, info.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
                file.extractall(folder)
        else:
            raise zipfile.BadZipFile("not a zip or tar archive, or not all of it")
    except _BROKEN as error:
        raise ArchiveError(f"{archive}: cannot be unpacked: {error}") from None


def _checked_member(archive: Path, member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    _check(archive, member.name, member.isfile() or member.isdir())
    return tarfile.data_filter(member, folder)


def _check(archive: Path, name: str, is_plain: bool) -> None:
    path = PureWindowsPath(name)  # knows drives and both slashes
    if path.drive or path.root or ".." in path.parts:
        raise ArchiveError(f"{archive}: refused, {name!r} leaves the folder it is unpacked to")
    if not is_plain:
        raise ArchiveError(f"{archive}: refused, {name!r} is neither file nor folder but a link or device")

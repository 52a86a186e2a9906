"""Download of a dataset: its folder appears complete, or not at all."""

import fcntl
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import kagglehub
import pooch
import requests
from kagglehub import http_resolver
from kagglehub.exceptions import BackendError, DataCorruptionError, UnauthenticatedError

from defectbench.config.fetch import LISTING, FetchSettings
from defectbench.data.archives import unpack
from defectbench.files import file_sha256, write_text
from defectbench.private_folder import open_lock, private_folder
from defectbench.script import UserError

_CREDENTIALS = """\
Make an API token at https://www.kaggle.com/settings, then either set KAGGLE_API_TOKEN to it, or set KAGGLE_USERNAME and
KAGGLE_KEY, or save kaggle.json in ~/.kaggle."""
_KAGGLE_ERRORS = (
    *(UnauthenticatedError, BackendError, DataCorruptionError),
    *(OSError, ValueError, zipfile.BadZipFile, tarfile.TarError),  # OSError includes what requests raises
)
_UNAUTHORISED = (401, 403)
_SECONDS = 30  # without an answer
_CHUNK = 2**20


class FetchError(UserError):
    """A dataset that cannot be downloaded; the message explains how to get it by hand."""


def fetch(source: FetchSettings, root: Path) -> int:
    """Download and unpack ``source`` to the folder ``root`` and return the number of files.

    ``root`` must be empty or absent, and appears only when all files are there, listed in ``fetched.sha256``
    (``sha256sum -c`` reads it) below the name of what was read. An archive named ``source.archive_name`` beside
    ``root`` is used instead of the network.

    Raises:
        FetchError: if there is no connection, no permission, a wrong SHA-256, or other files in ``root``; or if another
            user may have put the archive beside it, and its SHA-256 is not given.
        ArchiveError: if the archive is damaged or would write outside ``root``.
    """
    by_hand = root.parent / source.archive_name
    is_there = by_hand.is_file()
    with _workspace(root) as folder:
        content = folder / "content"
        if source.url or is_there:
            archive = _copy(by_hand, source, folder) if is_there else _download(source, folder, by_hand)
            digest: str | None = _check_digest(archive, source, by_hand if is_there else archive)
            unpack(archive, content)
        else:
            digest = _download_from_kaggle(source, content, by_hand)
        n_files = _write_listing(content, source.name_read(digest, is_there))
        target = root.resolve()
        if target.is_dir():
            target.rmdir()
        content.rename(target)
    return n_files


@contextmanager
def _workspace(root: Path) -> Iterator[Path]:
    """A locked folder beside ``root``, closed to others and removed at the end, empty but for the lock."""
    if root.exists() and (root.is_file() or any(root.iterdir())):
        raise FetchError(f"dataset.root: {root} is not empty: move it away, or choose another dataset.root")
    folder = root.resolve().with_name(f".{root.name}.part")
    remedy = "remove it or have it removed, or choose another dataset.root"
    with private_folder(folder, remedy) as opened, open_lock("lock", opened) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FetchError(f"another process is downloading to {root}: wait for it or stop it") from None
        # What a killed download left.
        for name in ("archive", "content"):
            shutil.rmtree(folder / name, ignore_errors=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def _copy(by_hand: Path, source: FetchSettings, folder: Path) -> Path:
    """A copy of the archive in ``folder``, where others cannot change it after it was checked.

    Raises:
        FetchError: if others could have put it there, and its SHA-256 is not known.
    """
    try:
        with by_hand.open("rb") as file:
            status, owners = os.fstat(file.fileno()), {0, os.geteuid()}
            is_ours = {status.st_uid, by_hand.lstat().st_uid} <= owners and not status.st_mode & stat.S_IWOTH
            if not is_ours and source.sha256 is None:
                raise FetchError(
                    f"{by_hand}: not used: it belongs to another user, or everybody may write to it. If it is what you"
                    " mean, give its SHA-256 as dataset.fetch.sha256; else remove it or choose another dataset.root"
                )
            archive = folder / "archive" / by_hand.name
            archive.parent.mkdir()
            with archive.open("xb") as copy:
                shutil.copyfileobj(file, copy, _CHUNK)
    except PermissionError as error:
        raise FetchError(f"{by_hand}: cannot be read: {error.strerror}") from None
    return archive


def _check_digest(archive: Path, source: FetchSettings, found: Path) -> str:
    """The SHA-256 of an archive; messages call it ``found``.

    Raises:
        FetchError: if the configuration gives another one.
    """
    digest = file_sha256(archive)
    if source.sha256 not in (None, digest):
        raise FetchError(
            f"{found}: not used, its SHA-256 differs from the configuration\n  found    {digest}\n"
            f"  expected {source.sha256}\nDelete the file to have it downloaded, or get it again from {source.address}"
        )
    return digest


def _download(source: FetchSettings, folder: Path, by_hand: Path) -> Path:
    downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=_CHUNK, timeout=_SECONDS)
    try:
        # Refused before it is unpacked if its SHA-256 is wrong.
        name = pooch.retrieve(source.url, source.sha256, source.archive_name, folder / "archive", downloader=downloader)
    except (OSError, ValueError) as error:
        raise FetchError(f"{source.url}: {_reason(error)}\n{_by_hand(source, by_hand)}") from None
    return Path(name)


def _download_from_kaggle(source: FetchSettings, content: Path, by_hand: Path) -> str | None:
    """Download and unpack into ``content``; returns the archive's SHA-256, None if kagglehub had no archive.

    Raises:
        FetchError: if the download fails, or the archive is not the one of the configuration.
        ArchiveError: as for any other archive.
    """
    digests: list[str] = []

    def check_and_unpack(archive: str, folder: str) -> None:
        digests.append(_check_digest(Path(archive), source, Path(archive)))
        unpack(Path(archive), Path(folder))

    try:
        with _replaced(http_resolver, "_extract_archive", check_and_unpack):
            if source.kaggle_competition:
                kagglehub.competition_download(source.kaggle_competition, output_dir=str(content))
            else:
                kagglehub.dataset_download(source.kaggle_dataset, output_dir=str(content))
    except _KAGGLE_ERRORS as error:
        advice = [_by_hand(source, by_hand)]
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(error, UnauthenticatedError) or status in _UNAUTHORISED:
            advice.insert(0, _CREDENTIALS)
            if source.kaggle_competition:
                advice.insert(1, f"Accept the rules of the competition at {source.address}/rules")
        raise FetchError("\n".join([f"{source.address}: {_reason(error)}", *advice])) from None
    shutil.rmtree(content / ".complete", ignore_errors=True)  # marker file of kagglehub
    if source.sha256 and not digests:
        raise FetchError(f"{source.address}: the SHA-256 cannot be checked here. {_by_hand(source, by_hand)}")
    if links := [path for path in content.rglob("*") if path.is_symlink()]:
        raise FetchError(f"{source.address}: refused, {links[0].relative_to(content)} is a link")
    return digests[0] if digests else None


@contextmanager
def _replaced(module: ModuleType, name: str, function: Callable[..., None]) -> Iterator[None]:
    """A module whose function ``name`` is ``function`` for a while."""
    original = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, original)


def _reason(error: Exception) -> str:
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return f"no connection ({type(error).__name__})"
    return f"cannot be downloaded: {error}"


def _by_hand(source: FetchSettings, path: Path) -> str:
    what = f"{source.origin}," if source.url else f"all files of {source.address} as one zip file,"
    return f"By hand: download {what} put it at {path} and run the same command again"


def _write_listing(content: Path, name_read: str) -> int:
    files = sorted(path for path in content.rglob("*") if path.is_file())
    n_bytes = sum(path.stat().st_size for path in files)
    lines = [f"# {name_read}", f"# {len(files)} files, {n_bytes} bytes"]
    lines += [f"{file_sha256(path)}  {path.relative_to(content).as_posix()}" for path in files]
    write_text(content / LISTING, "\n".join(lines) + "\n")
    return len(files)

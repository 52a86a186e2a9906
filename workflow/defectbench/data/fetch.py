"""Download of a dataset: its folder appears complete, or not at all."""

import fcntl
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kagglehub
import pooch
import requests
from kagglehub.exceptions import BackendError, DataCorruptionError, UnauthenticatedError

from defectbench.config.fetch import LISTING, FetchSettings
from defectbench.data.archives import unpack
from defectbench.files import file_sha256, write_text
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
    (``sha256sum -c`` reads it). An archive named ``source.archive_name`` beside ``root`` is used instead of the
    network.

    Raises:
        FetchError: if there is no connection, no permission, a wrong SHA-256, or other files in ``root``.
        ArchiveError: if the archive is damaged or would write outside ``root``.
    """
    by_hand = root.parent / source.archive_name
    with _workspace(root) as folder:
        content = folder / "content"
        if by_hand.is_file():
            _check_digest(by_hand, source)
            unpack(by_hand, content)
        elif source.url:
            unpack(_download(source, folder, by_hand), content)
        else:
            _download_from_kaggle(source, content, by_hand)
        n_files = _write_listing(content, source)
        target = root.resolve()
        if target.is_dir():
            target.rmdir()
        content.rename(target)
    return n_files


@contextmanager
def _workspace(root: Path) -> Iterator[Path]:
    """A locked folder beside ``root``, removed at the end; leftovers of a killed fetch are removed first."""
    if root.exists() and (root.is_file() or any(root.iterdir())):
        raise FetchError(f"dataset.root: {root} is not empty: move it away, or choose another dataset.root")
    folder = root.resolve().with_name(f".{root.name}.part")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FetchError(f"another process is downloading to {root}: wait for it or stop it") from None
        shutil.rmtree(folder / "content", ignore_errors=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def _check_digest(archive: Path, source: FetchSettings) -> None:
    """Check that an archive put there by hand is the one of the configuration, if its SHA-256 is known."""
    if source.sha256 and (digest := file_sha256(archive)) != source.sha256:
        raise FetchError(
            f"{archive}: not used, its SHA-256 differs from the configuration\n  found    {digest}\n"
            f"  expected {source.sha256}\nDelete the file to have it downloaded, or get it again from {source.address}"
        )


def _download(source: FetchSettings, folder: Path, by_hand: Path) -> Path:
    downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=_CHUNK, timeout=_SECONDS)
    try:
        # Refused before it is unpacked if its SHA-256 is wrong.
        return Path(pooch.retrieve(source.url, source.sha256, source.archive_name, folder, downloader=downloader))
    except (OSError, ValueError) as error:
        raise FetchError(f"{source.url}: {_reason(error)}\n{_by_hand(source, by_hand)}") from None


def _download_from_kaggle(source: FetchSettings, content: Path, by_hand: Path) -> None:
    try:
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


def _reason(error: Exception) -> str:
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return f"no connection ({type(error).__name__})"
    return f"cannot be downloaded: {error}"


def _by_hand(source: FetchSettings, path: Path) -> str:
    what = f"{source.origin}," if source.url else f"all files of {source.address} as one zip file,"
    return f"By hand: download {what} put it at {path} and run the same command again"


def _write_listing(content: Path, source: FetchSettings) -> int:
    files = sorted(path for path in content.rglob("*") if path.is_file())
    n_bytes = sum(path.stat().st_size for path in files)
    lines = [f"# {source.origin}", f"# {len(files)} files, {n_bytes} bytes"]
    lines += [f"{file_sha256(path)}  {path.relative_to(content).as_posix()}" for path in files]
    write_text(content / LISTING, "\n".join(lines) + "\n")
    return len(files)

"""Digests of large files: packs, weights and score maps have their SHA-256 beside them, as ``sha256sum -c`` reads it.

Snakemake hashes every input of a job once per output, in its one scheduler thread. So rules take the digest as the
input whose content decides what is stale, and the large file itself as one that only has to be there.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from defectbench.files import atomic, file_sha256, write_text

SUFFIX = ".sha256"
LARGE = (".bin", ".safetensors", ".pred.parquet")
"""How the names of large files end."""
_PATTERNS = (
    "runs/{}/packed/**/*.bin",
    *(f"runs/{{}}/*/*/{folder}*.pred.parquet" for folder in ("", "fold*/")),
    *(f"runs/{{}}/*/*/{folder}model/*.safetensors" for folder in ("", "fold*/")),
    "weights/*.safetensors",
)


def digest_path(path: Path) -> Path:
    """Where the digest of the file ``path`` is."""
    return path.with_name(path.name + SUFFIX)


def digests(*paths: str) -> list[str]:
    """Where the digests of those of ``paths`` are that are large files."""
    return [path + SUFFIX for path in paths if path.endswith(LARGE)]


@contextmanager
def atomic_with_digest(path: Path) -> Iterator[Path]:
    """Like :func:`defectbench.files.atomic`, and write the digest of what the block wrote."""
    path = Path(path)
    with atomic(path) as temporary:
        yield temporary
    write_text(digest_path(path), f"{file_sha256(path)}  {path.name}\n")
    _date_like(path)


def is_intact(path: Path) -> bool:
    """Whether the file ``path`` is the one that its digest was made of.

    The two have the same time: only a file that was changed, touched or copied since is hashed again, and if it is the
    same, dated anew. A file without a digest, or a digest without its file, is not intact.
    """
    digest = digest_path(path)
    try:
        if path.stat().st_mtime_ns == digest.stat().st_mtime_ns:
            return True
        intact = digest.read_text(encoding="utf-8").split()[0] == file_sha256(path)
    except (OSError, IndexError, UnicodeDecodeError):
        return False
    if intact:
        _date_like(path)
    return intact


def withdraw_changed(top: Path, dataset: str) -> list[Path]:
    """Delete the digests of large files that are there and not what was written, so that Snakemake makes these again.

    Returns the changed files, of all below ``top`` that a study of ``dataset`` makes. Those that were deleted keep
    their digest: Snakemake itself makes them again when something needs them.
    """
    changed = []
    for digest in sorted(path for pattern in _PATTERNS for path in top.glob(pattern.format(dataset) + SUFFIX)):
        path = digest.with_suffix("")
        if path.exists() and not is_intact(path):
            print(f"{path} was changed since it was written: it is made again when it is needed", file=sys.stderr)
            digest.unlink(missing_ok=True)
            changed.append(path)
    return changed


def _date_like(path: Path) -> None:
    """Give the digest the time of its file."""
    stat = path.stat()
    os.utime(digest_path(path), ns=(stat.st_atime_ns, stat.st_mtime_ns))

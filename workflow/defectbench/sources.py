"""What a study reads of other people's files: a digest of their content, by which a change of any of them is noticed.

Snakemake itself takes a file for changed only if it is newer than the results, which a corrected table out of an
archive is not; and it cannot hold names with braces.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from defectbench.files import file_sha256, write_text

THREADS = 4
RECORD = "generated.sha256"
"""Name of the digest of generated files, beside them."""
ANNOUNCED = 2**30
"""Bytes from which a first reading is announced: it takes seconds to minutes."""


@dataclass(frozen=True)
class Sources:
    """The files that a rule reads beside its inputs."""

    digest: str
    """Of their paths and content; a touched or copied file keeps it."""
    megabytes: float


def read_sources(paths: Sequence[Path], memo: Path | None = None) -> Sources:
    """Digest of the files ``paths``.

    Files whose size and time are those in ``memo`` are not read again; it is rewritten if something changed, and
    may be deleted. Files that are not there count as such.
    """
    known = _read_memo(memo) if memo else {}
    found = {str(path): _stat(path) for path in paths}
    changed = [path for path, stat in found.items() if stat is not None and (known.get(path) or [])[:2] != stat]
    size = sum(stat[0] for path in changed if (stat := found[path]))
    if size > ANNOUNCED:
        text = f"Reading {len(changed):,} source files, {size / 1e9:.1f} GB, once, so that later changes are noticed"
        print(text, file=sys.stderr)
    with ThreadPoolExecutor(THREADS) as pool:
        read = dict(zip(changed, pool.map(_digest, changed), strict=True))
    entries = {
        path: [*stat, read.get(path) or known[path][2]] if stat else None for path, stat in sorted(found.items())
    }
    if memo and entries != known:
        write_text(memo, json.dumps(entries))
    content = [[path, entry and entry[2]] for path, entry in entries.items()]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return Sources(digest[:16], sum(stat[0] for stat in found.values() if stat) / 1e6)


def read_generated(paths: Sequence[Path], memo: Path, record: Path) -> Sources:
    """As :func:`read_sources`, of files that a rule generates; its last output, ``record``, is their digest.

    They have one constant digest before they are generated, and after it as long as nobody edits them.
    """
    found = read_sources(paths, memo)
    is_unchanged = not record.is_file() or record.read_text(encoding="utf-8").strip() == found.digest
    return replace(found, digest="generated") if is_unchanged else found


def withdraw_incomplete(memo: Path, record: Path) -> None:
    """Delete the ``record`` of generated files if one that is in ``memo`` is gone: Snakemake generates all again."""
    there = (path for path, entry in _read_memo(memo).items() if entry)
    if record.is_file() and (missing := next((path for path in there if not Path(path).is_file()), None)):
        print(f"{missing} is missing: generated files are made again when they are needed", file=sys.stderr)
        record.unlink()


def _stat(path: Path) -> list[int] | None:
    """Size and time of a file; None if it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _digest(path: str) -> str:
    try:
        return file_sha256(Path(path))
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _read_memo(path: Path) -> dict[str, list]:
    """The entries of a memo, path -> size, time, SHA-256; none if there is no memo, or it is damaged."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}

"""Notes on the folders of a dataset: what is passed over in them, and links that lead out of them."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from defectbench.config.dataset import DatasetSettings
from defectbench.data.preview import preview_list
from defectbench.data.readers.base import Note, relative_path
from defectbench.walk import IMAGE_SUFFIXES, is_inside

T = TypeVar("T")
K = TypeVar("K")


def folder_notes(settings: DatasetSettings) -> list[Note]:
    """What the walk over the folders of images and labels passes over, and what it follows out of the root."""
    notes = []
    labels = set(settings.label_files())
    links = {path for path in labels if path.is_symlink() and not is_inside(path, settings.root)}
    folders = [Path(folder) for folder in settings.folders()]
    for folder in (one for one in folders if not set(one.parents) & set(folders)):
        found = settings.walk(str(folder))
        links |= set(found.leaving)
        for reason, passed in _groups(found.passed_over, lambda one: one.reason).items():
            names = preview_list(relative_path(one.path, settings) for one in passed)
            notes.append(Note(folder.as_posix(), "passed over", f"{len(passed)}, {reason}: {names}"))
        others = [path for path in found.files if path not in labels and path.suffix.lower() not in IMAGE_SUFFIXES]
        for suffix, paths in _groups(others, lambda path: path.suffix.lower()).items():
            names = preview_list(relative_path(path, settings) for path in paths)
            kind = f"called *{suffix}, not read as images or labels" if suffix else "without a suffix"
            notes.append(Note(folder.as_posix(), "passed over", f"{len(paths)}, {kind}: {names}"))
    for parent, paths in _groups(sorted(links), lambda path: path.parent).items():
        names = preview_list(path.name for path in paths)
        detail = f"{len(paths)} lead out of the data and are followed: {names}"
        notes.append(Note(relative_path(parent, settings), "link out of the data", detail))
    return notes


def _groups(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups

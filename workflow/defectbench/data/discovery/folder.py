"""The files of a folder as the formats look at them, and what they find."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pandas as pd

from defectbench.data.foreign_text import TextError, read_table
from defectbench.data.names import normal_form
from defectbench.walk import IMAGE_SUFFIXES, Walk, walk, with_suffix


class Doubt(NamedTuple):
    """Something that the files do not tell for certain."""

    text: str
    """What was found, and what was assumed."""
    key: str = ""
    """The key to set if that is wrong, as it would be in the study."""


@dataclass(frozen=True)
class Candidate:
    """A way to read a folder: settings of a format, and why they may be right."""

    format: str
    labels: str
    """The file or folder of the labels, below the folder: what tells candidates of one format apart."""
    evidence: str
    """What was found, for people."""
    settings: dict[str, Any]
    """The dataset section of a study without ``name``, ``format`` and ``root``."""
    doubts: tuple[Doubt, ...] = ()
    root: str = "."
    """Where the dataset begins, below the folder."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Name of an image below the folder -> name of the role that the label files give it, if they do."""

    instead_of: frozenset[str] = frozenset()
    """Keys of the candidates that read the same labels in a plainer way: needless, if this one can be read."""

    @property
    def key(self) -> str:
        """The name by which people choose it among all candidates."""
        return f"{self.format}:{self.labels}"


@dataclass(frozen=True, eq=False)
class Folder:
    """A folder of data, walked over once; all names in it are relative to it, with '/'."""

    path: Path
    image_size: tuple[int, int] | None = None
    """Height and width of the images, where there are none to look at."""
    _tables: dict[str, pd.DataFrame | None] = field(default_factory=dict)

    @cached_property
    def walk(self) -> Walk:
        """All that is below the folder."""
        return walk(self.path)

    def name(self, path: Path) -> str:
        """Name of a file below the folder."""
        return path.relative_to(self.path).as_posix()

    def names(self, *suffixes: str) -> list[str]:
        """Names of the files with one of ``suffixes`` (in lower case), sorted."""
        return [self.name(path) for path in with_suffix(self.walk.files, suffixes)]

    @cached_property
    def images(self) -> list[str]:
        """Names of all files that are images by their suffix, masks among them, sorted."""
        return self.names(*IMAGE_SUFFIXES)

    @cached_property
    def images_by_folder(self) -> dict[str, list[str]]:
        """Folder -> its images without those in folders below it."""
        groups: dict[str, list[str]] = {}
        for name in self.images:
            groups.setdefault(PurePosixPath(name).parent.as_posix(), []).append(name)
        return groups

    def table(self, name: str) -> pd.DataFrame | None:
        """A table of text; None if the file is none."""
        if name not in self._tables:
            try:
                self._tables[name] = read_table(self.path / name)
            except (OSError, TextError):
                self._tables[name] = None
        return self._tables[name]

    def tables(self) -> list[str]:
        """Names of the files that may be tables."""
        return self.names(".csv", ".tsv")


def common_folder(names: Iterable[str]) -> str:
    """The deepest folder that holds all of ``names``; '.' if that is the top."""
    parts: Sequence[Sequence[str]] = [PurePosixPath(name).parent.parts for name in names]
    shared = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return "/".join(shared) or "."


def images_folder(places: Iterable[tuple[str, str]]) -> str:
    """The folder in which images, each with its name in a label file, have these names; else the one of all images."""
    pairs = list(places)
    tops = {top for image, name in pairs if (top := _top(image, PurePosixPath(normal_form(name)).parts))}
    return tops.pop() if len(tops) == 1 else common_folder(image for image, _ in pairs)


def _top(image: str, parts: Sequence[str]) -> str | None:
    """The folder in which ``image`` has the ``parts`` as its name."""
    folders, own = PurePosixPath(image).parts[: -len(parts)], PurePosixPath(normal_form(image)).parts[-len(parts) :]
    return ("/".join(folders) or ".") if tuple(own) == tuple(parts) else None


def pattern_of(names: Sequence[str], folder: Path) -> str | None:
    """A pattern that fits the files ``names`` below ``folder`` and no other; None if there is none."""
    paths = [PurePosixPath(name) for name in names]
    depths, files, parents = {len(path.parts) for path in paths}, {path.name for path in paths}, {*_parents(paths)}
    if len(depths) != 1 or len({*files}) > 1 < len(parents):
        return None
    top = parents.pop() if len(parents) == 1 else "/".join("*" * (depths.pop() - 1))
    pattern = (PurePosixPath(top) / (files.pop() if len(files) == 1 else f"*{paths[0].suffix}")).as_posix()
    return pattern if {path.relative_to(folder).as_posix() for path in folder.glob(pattern)} == {*names} else None


def _parents(paths: Iterable[PurePosixPath]) -> list[str]:
    return [path.parent.as_posix() for path in paths]


def name_classes(values: Iterable[int]) -> dict[int, str]:
    """Names of classes that have only values."""
    return {value: f"class_{value}" for value in sorted(values)}


UNNAMED = Doubt("the data do not name their classes: put the names that reports shall show in classes")

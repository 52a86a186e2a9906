"""Matching of the names in label files, tables and split files with the files on disk."""

import difflib
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

MAX_LENGTH = 4096
"""Characters of the longest path on a disk: a longer name means no file."""
MAX_SEARCHES = 20
"""Names that are compared letter by letter with all others: each takes time that grows with their number."""


def normal_form(name: str) -> str:
    """``name`` without what systems and tools change: Unicode form, upper case, ``\\`` for ``/``, a leading ``./``."""
    name = unicodedata.normalize("NFC", unicodedata.normalize("NFD", name.strip().replace("\\", "/")).casefold())
    return PurePosixPath(name).as_posix()  # drops './' too


class Names:
    """The names of files, to look up what others call them.

    A name that is written otherwise (see :func:`normal_form`) is found if exactly one file can be meant, and is then
    in :attr:`rewritten`. For any other, :meth:`hint` has the nearest.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Keep ``names``: paths with '/'."""
        self.names = sorted(names)
        self.rewritten: dict[str, str] = {}
        """Name in the labels -> name on disk, where they differ."""
        self._exact = set(self.names)
        self._by_form: dict[str, list[str]] | None = None
        self._by_file: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        self._searches = 0

    def __contains__(self, name: str) -> bool:
        """Whether a file has exactly this name."""
        return name in self._exact

    def find(self, name: str) -> str | None:
        """The file that ``name`` means; None if there is none, or if it may be several."""
        if len(name) > MAX_LENGTH:
            return None
        if (plain := name.removeprefix("./")) in self._exact:
            return plain
        same = self._forms().get(normal_form(name), [])
        if len(same) != 1:
            return None
        self.rewritten[name] = same[0]
        return same[0]

    def hint(self, name: str) -> str:
        """What else ``name`` may mean, as the end of a message: '; did you mean ...?', or nothing."""
        if len(name) > MAX_LENGTH:
            return ""
        form = normal_form(name)
        same = self._forms().get(form, [])
        near = (
            same or self._by_file.get(PurePosixPath(form).name) or self._by_stem.get(_stem(form)) or self._search(name)
        )
        if not near:
            return ""
        return f"; did you mean {' or '.join(map(repr, near[:3]))}{' or others' if len(near) > 3 else ''}?"

    def _forms(self) -> dict[str, list[str]]:
        if self._by_form is None:
            forms = [(normal_form(name), name) for name in self.names]
            self._by_form = _group(forms, str)
            self._by_file = _group(forms, lambda form: PurePosixPath(form).name)
            self._by_stem = _group(forms, _stem)
        return self._by_form

    def _search(self, name: str) -> list[str]:
        self._searches += 1
        if self._searches > MAX_SEARCHES:
            return []
        near = difflib.get_close_matches(_stem(normal_form(name)), self._by_stem, n=1, cutoff=0.75)
        return self._by_stem[near[0]] if near else []


def _stem(form: str) -> str:
    """The name of a file without its folders and all its suffixes: of a.png.json it is a."""
    name = PurePosixPath(form).name
    return name[: name.find(".", 1)] if "." in name[1:] else name


def _group(forms: Iterable[tuple[str, str]], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for form, name in forms:
        groups[key(form)].append(name)
    return dict(groups)

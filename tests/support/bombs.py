"""Small files that took hours or all memory to read, or that other programs of the kind fall for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from defectbench.config.dataset import DatasetSettings
from defectbench.config.ingest import FORMATS

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
"""What Pillow would hand to another program."""
MANY = 600_000
"""Wrong items of a list, of which each took a kilobyte."""


class Bomb(NamedTuple):
    """A bomb, and what is said about it."""

    build: Callable[[Path], Path]
    """Writes it into a folder; returns the path that is read."""
    read: str
    """Name of the function of :mod:`limited` that reads it."""
    says: str
    """A regular expression of the answer."""


BOMBS: dict[str, Bomb] = {}


def bomb(read: str, says: str) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
    """List a function that writes a bomb into a folder, and returns the file or the settings to read, if others."""

    def add(write: Callable[[Path], Any]) -> Callable[[Path], Any]:
        def build(folder: Path) -> Path:
            folder.mkdir()
            written = write(folder)
            if isinstance(written, DatasetSettings):
                written.write(folder / "ingest.yaml")
            return written if isinstance(written, Path) else folder

        BOMBS[write.__name__] = Bomb(build, read, says)
        return write

    return add


def dataset(root: Path, form: str, classes: dict[int, str] | None = None, **settings: Any) -> DatasetSettings:
    values = {"name": "parts", "format": form, "root": root, "classes": classes or {1: "dent"}}
    return FORMATS[form].model_validate(values | settings)

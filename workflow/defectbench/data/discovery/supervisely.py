"""What looks like a Supervisely project."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from defectbench.data.discovery.folder import Candidate, Folder
from defectbench.data.readers.base import LabelFileError
from defectbench.data.readers.supervisely import read_titles


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield folders with a meta.json that lists classes, and annotation files in folders called ann."""
    names = folder.names(".json")
    for name in names:
        root = PurePosixPath(name).parent
        annotations = [one for one in names if "ann" in PurePosixPath(one).parts and root in PurePosixPath(one).parents]
        if PurePosixPath(name).name != "meta.json" or not annotations:
            continue
        try:
            titles = read_titles(folder.path / name)
        except LabelFileError:
            continue
        yield Candidate(
            "supervisely",
            name,
            f"{name} with {len(titles)} classes, {len(annotations):,} annotation files in folders called ann",
            {"classes": dict(enumerate(titles, start=1))},
            root=root.as_posix(),
        )

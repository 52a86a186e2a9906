"""What looks like an export of Label Studio as JSON."""

from collections.abc import Iterator

from defectbench.data.discovery.folder import Candidate, Folder, common_folder
from defectbench.data.discovery.shapes import used_labels
from defectbench.data.foreign_text import TextError, read_text
from defectbench.data.readers import label_studio


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield JSON files with a list of tasks."""
    for name in folder.names(".json") if folder.images else []:
        try:
            text = read_text(folder.path / name)
        except (OSError, TextError):
            continue
        if not text.lstrip().startswith("[") or '"annotations"' not in text:
            continue
        settings = {"annotations": name, "images_dir": common_folder(folder.images)}
        if labels := used_labels(folder, "label_studio", label_studio.read, settings):
            yield Candidate(
                "label_studio",
                name,
                f"{name}: tasks with regions of {len(labels)} labels",
                settings | {"classes": dict(enumerate(labels, start=1))},
            )

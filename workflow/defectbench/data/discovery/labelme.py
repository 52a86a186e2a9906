"""What looks like LabelMe: a JSON file of shapes for each image."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from defectbench.data.discovery.folder import Candidate, Doubt, Folder, common_folder
from defectbench.data.discovery.shapes import used_labels
from defectbench.data.foreign_text import TextError, read_text
from defectbench.data.readers import labelme


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield the JSON files that have an image's name, if they name an image path, together."""
    stems = {PurePosixPath(name).stem: name for name in folder.images}
    files = [name for name in folder.names(".json") if PurePosixPath(name).stem in stems]
    if not files or not _is_labelme(folder, files[0]):
        return
    images = [stems[PurePosixPath(name).stem] for name in files]
    images_dir, labels_dir = common_folder(images), common_folder(files)
    settings: dict[str, Any] = {"images_dir": images_dir}
    if labels_dir != images_dir:
        settings["labels_dir"] = labels_dir
    doubts = []
    n_images = sum(name.startswith(f"{images_dir}/") or images_dir == "." for name in folder.images)
    if len(files) < n_images:
        settings["missing_label"] = "clean"
        text = f"{n_images - len(files):,} images have no JSON file, as LabelMe leaves clean ones: they count as clean"
        doubts.append(Doubt(text, "missing_label: error"))
    if labels := used_labels(folder, "labelme", labelme.read, settings):
        yield Candidate(
            "labelme",
            labels_dir,
            f"{len(files):,} JSON files of LabelMe in {labels_dir}, with {len(labels)} labels",
            settings | {"classes": dict(enumerate(labels, start=1))},
            tuple(doubts),
        )


def _is_labelme(folder: Folder, name: str) -> bool:
    try:
        text = read_text(folder.path / name)
    except (OSError, TextError):
        return False
    return '"imagePath"' in text and '"shapes"' in text

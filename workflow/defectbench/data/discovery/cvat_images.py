"""What looks like CVAT for images 1.1: XML files of images and shapes."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from defectbench.data.discovery.folder import Candidate, Folder, images_folder
from defectbench.data.discovery.shapes import used_labels
from defectbench.data.names import normal_form
from defectbench.data.readers import cvat_images
from defectbench.data.readers.base import LabelFileError


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield XML files that list images of the folder."""
    places = {PurePosixPath(normal_form(name)).name: name for name in folder.images}
    for name in folder.names(".xml"):
        try:
            listed = [attributes["name"] for _, attributes, _ in cvat_images.parse_images(folder.path / name)]
        except LabelFileError:
            continue
        found = [(places[key], one) for one in listed if (key := PurePosixPath(normal_form(one)).name) in places]
        settings = {"annotations": name, "images_dir": images_folder(found)}
        labels = used_labels(folder, "cvat_images", cvat_images.read, settings) if found else []
        if labels:
            yield Candidate(
                "cvat_images",
                name,
                f"{name}: shapes of {len(labels)} labels on {len(found):,} images",
                settings | {"classes": dict(enumerate(labels, start=1))},
            )

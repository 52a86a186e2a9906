"""What looks like CVAT for images 1.1: XML files of images and shapes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from defectbench.data.discovery.folder import Candidate, Folder, images_folder, pattern_of
from defectbench.data.discovery.shapes import used_labels
from defectbench.data.names import normal_form
from defectbench.data.readers import cvat_images
from defectbench.data.readers.base import LabelFileError


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield XML files that list images of the folder: together if they are parts of one dataset, else one by one."""
    places: dict[str, list[str]] = {}
    for image in folder.images:
        places.setdefault(PurePosixPath(normal_form(image)).name, []).append(image)
    files = {name: found for name in folder.names(".xml") if (found := _find_images(folder, name, places))}
    listed = Counter(image for found in files.values() for image, _ in found)
    pattern = pattern_of([*files], folder.path) if len(files) > 1 and max(listed.values()) == 1 else None
    if pattern:
        files = {pattern: [one for found in files.values() for one in found]}
    for annotations, found in files.items():
        settings = {"annotations": annotations, "images_dir": images_folder(found)}
        if labels := used_labels(folder, "cvat_images", cvat_images.read, settings):
            yield Candidate(
                "cvat_images",
                annotations,
                f"{annotations}: shapes of {len(labels)} labels on {len(found):,} images",
                settings | {"classes": dict(enumerate(labels, start=1))},
            )


def _find_images(folder: Folder, name: str, places: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Images of the folder that a file lists, with their names in it; none if it is no such file."""
    try:
        listed = [
            PurePosixPath(attributes.get("subset", "") if "/" not in attributes["name"] else "", attributes["name"])
            for _, attributes, _ in cvat_images.parse_images(folder.path / name)
        ]
    except LabelFileError:
        return []
    found = []
    for path in listed:
        form = normal_form(path.as_posix())
        alike = places.get(PurePosixPath(form).name, [])
        nearest = [one for one in alike if f"/{normal_form(one)}".endswith(f"/{form}")] or alike
        found += [(one, path.as_posix()) for one in nearest[:1]]
    return found

"""What looks like COCO files."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from defectbench.config.split import file_role
from defectbench.data.discovery.folder import Candidate, Doubt, Folder, images_folder, pattern_of
from defectbench.data.foreign_text import TextError, read_text
from defectbench.data.names import normal_form
from defectbench.data.preview import count_nouns
from defectbench.data.readers.base import LabelFileError
from defectbench.data.readers.coco import parse_coco


@dataclass(frozen=True)
class _File:
    """A COCO file."""

    name: str
    images: Mapping[str, str]
    """Name of an image below the folder -> its name in the file; those that are not there are missing."""
    annotations: int
    categories: tuple[str, ...]
    crowds: int
    """Annotations with iscrowd: 1."""


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield the COCO files of a folder: together if they are parts of one dataset, else one by one."""
    places: dict[str, list[str]] = {}
    for image in folder.images:
        places.setdefault(PurePosixPath(normal_form(image)).name, []).append(image)
    files = [file for name in folder.names(".json") if (file := _look(folder, name, places))]
    listed = Counter(image for file in files for image in file.images)
    pattern = pattern_of([file.name for file in files], folder.path) if len(files) > 1 else None
    if pattern and max(listed.values()) == 1:
        yield _candidate(pattern, files)
    else:
        for file in files:
            yield _candidate(file.name, [file])


def _look(folder: Folder, name: str, places: dict[str, list[str]]) -> _File | None:
    """The file ``name``, if it is a COCO file of images in the folder."""
    try:
        text = read_text(folder.path / name)
        if not all(f'"{key}"' in text for key in ("images", "annotations", "categories")):
            return None
        content = parse_coco(folder.path / name)
    except (OSError, TextError, LabelFileError):
        return None
    images: dict[str, str] = {}
    for image in content.images:
        form = normal_form(image.file_name)
        found = places.get(PurePosixPath(form).name, [])
        # Of several images with one name, the one whose folders the file names, or beside the file.
        nearest = [one for one in found if normal_form(one).endswith(form)] or found
        beside = [one for one in nearest if PurePosixPath(name).parent in PurePosixPath(one).parents]
        images |= dict.fromkeys((beside or nearest)[:1], image.file_name)
    used = Counter(annotation.category_id for annotation in content.annotations)
    categories = [category.name for category in content.categories if used[category.id]]
    if not images or not categories:
        return None
    crowds = sum(annotation.iscrowd for annotation in content.annotations)
    return _File(name, images, len(content.annotations), tuple(categories), crowds)


def _candidate(annotations: str, files: list[_File]) -> Candidate:
    images = {image: name for file in files for image, name in file.images.items()}
    names = list(dict.fromkeys(name for file in files for name in file.categories))
    n_annotations = sum(file.annotations for file in files)
    n_crowds = sum(file.crowds for file in files)
    crowds = f"{count_nouns(n_crowds, 'crowd')} (iscrowd: 1) read as defects, which COCO itself does not score"
    return Candidate(
        "coco",
        annotations,
        f"{annotations}: {n_annotations:,} annotations of {len(names)} categories on {len(images):,} images",
        {
            "annotations": annotations,
            "images_dir": images_folder(images.items()),
            "classes": dict(enumerate(names, start=1)),
        },
        (Doubt(crowds, "ignore: crowd"),) if n_crowds else (),
        roles={image: role for file in files if (role := file_role(file.name)) for image in file.images},
    )

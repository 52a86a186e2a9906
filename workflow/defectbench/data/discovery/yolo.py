"""What looks like labels of YOLO: text files of polygons or boxes, and a file of class names."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from defectbench.data.discovery.folder import Candidate, Folder, common_folder
from defectbench.data.foreign_text import TextError, read_text
from defectbench.data.names import normal_form
from defectbench.data.readers.base import LabelFileError
from defectbench.data.readers.parsed import parse_yaml
from defectbench.data.readers.yolo import read_names


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield files of class names whose folder has label files beside images or in folders called labels."""
    texts = folder.names(".txt")
    for name in folder.names(".yaml", ".yml"):
        root = PurePosixPath(name).parent
        images = [one for one in folder.images if root in PurePosixPath(one).parents]
        stems = {_stem(one) for one in images}
        labels = [one for one in texts if root in PurePosixPath(one).parents and _image_stem(one) & stems]
        if not labels:
            continue
        try:
            names = read_names(folder.path / name)
        except LabelFileError:
            continue
        labelled = set().union(*map(_image_stem, labels))
        images_dir = common_folder(one for one in images if _stem(one) in labelled)
        settings = {"data_yaml": PurePosixPath(name).name, "classes": names}
        settings |= {"images_dir": PurePosixPath(images_dir).relative_to(root).as_posix()}
        yield Candidate(
            "yolo",
            name,
            f"{name} with {len(names)} classes, {len(labels):,} label files",
            settings,
            root=root.as_posix(),
            roles=_roles(folder, name, images),
        )


def _roles(folder: Folder, name: str, images: Sequence[str]) -> dict[str, str]:
    """Image -> train, val or test by the folders, or lists of images, that the file of class names gives them.

    None, if an image would have two, as where training and validation are given the same folder.
    """
    content = parse_yaml(read_text(folder.path / name))
    root = PurePosixPath(name).parent
    role_of: dict[str, str] = {}
    for role in ("train", "val", "test"):
        places = content.get(role) or []
        for place in filter(lambda one: isinstance(one, str), places if isinstance(places, list) else [places]):
            listed = _listed(folder, (root / place).as_posix(), images)
            if listed & role_of.keys():
                return {}
            role_of |= dict.fromkeys(listed, role)
    return role_of


def _listed(folder: Folder, place: str, images: Sequence[str]) -> set[str]:
    """Images in a folder or in a list of paths."""
    if not place.endswith(".txt"):
        return {image for image in images if image.startswith(f"{place}/")}
    by_name: dict[str, list[str]] = {}
    for line in map(normal_form, _lines(folder, place)):
        by_name.setdefault(PurePosixPath(line).name, []).append(line)
    forms = {image: normal_form(image) for image in images}
    return {
        image
        for image, form in forms.items()
        if any(f"/{line}".endswith(f"/{form}") for line in by_name.get(PurePosixPath(form).name, []))
    }


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _image_stem(label: str) -> set[str]:
    """Names without suffix that the image of a label file may have."""
    parts = list(PurePosixPath(_stem(label)).parts)
    stems = {"/".join(parts)}
    if "labels" in parts[:-1]:
        parts[len(parts) - 1 - parts[::-1].index("labels")] = "images"
        stems.add("/".join(parts))
    return stems


def _lines(folder: Folder, label: str) -> list[str]:
    try:
        return [line for line in read_text(folder.path / label).splitlines() if line.strip()]
    except (OSError, TextError):
        return []

"""What looks like labels of YOLO: text files of polygons or boxes, and a file of class names."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from defectbench.data.discovery.folder import Candidate, Folder, common_folder
from defectbench.data.readers.base import LabelFileError
from defectbench.data.readers.yolo import read_names, read_roles


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
    """Image -> train, val or test, as the file of class names says; none if it contradicts itself."""
    root = PurePosixPath(name).parent
    try:
        roles = read_roles(folder.path / name, [PurePosixPath(one).relative_to(root).as_posix() for one in images])
    except LabelFileError:
        return {}
    return {(root / image).as_posix(): role for image, role in roles.items()}


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

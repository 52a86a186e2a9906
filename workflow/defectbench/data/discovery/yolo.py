"""What looks like labels of YOLO: text files of polygons or boxes, and a file of class names."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from defectbench.data.discovery.folder import Candidate, Doubt, Folder, common_folder
from defectbench.data.foreign_text import TextError, read_text
from defectbench.data.readers.base import LabelFileError
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
        images_dir = common_folder(one for one in images if _stem(one) in set().union(*map(_image_stem, labels)))
        kinds = [_is_box(line) for label in labels for line in _lines(folder, label)]
        boxes = sum(kinds)
        settings = {"data_yaml": PurePosixPath(name).name, "classes": names}
        settings |= {"images_dir": PurePosixPath(images_dir).relative_to(root).as_posix()}
        doubts = []
        if boxes:
            settings["boxes"] = "fill"
            text = (
                f"{boxes:,} of {len(kinds):,} objects are boxes: each is read as a filled rectangle, far more than the"
                " defect inside it"
            )
            doubts.append(Doubt(text, "boxes: error"))
        evidence = f"{name} with {len(names)} classes, {len(labels):,} label files with {len(kinds) - boxes:,} polygons"
        yield Candidate(
            "yolo", name, f"{evidence}, {boxes:,} boxes", settings, tuple(doubts), root=root.as_posix()
        )


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


def _is_box(line: str) -> bool:
    return len(line.split()) == 5

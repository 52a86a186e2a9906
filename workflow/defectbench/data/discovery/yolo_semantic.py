"""What looks like masks for semantic segmentation with ultralytics: masks, and a file of class names."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from defectbench.data.discovery.folder import Candidate, Folder
from defectbench.data.discovery.ignored import doubt_void
from defectbench.data.discovery.pairs import find_pairs, look_at_masks
from defectbench.data.readers.base import LabelFileError
from defectbench.data.readers.mask_pixels import VOID
from defectbench.data.readers.yolo_semantic import read_classes


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield files of class names beside folders of images and masks."""
    for name in folder.names(".yaml", ".yml"):
        root = PurePosixPath(name).parent
        try:
            classes, _, mapping = read_classes(folder.path / name)
        except LabelFileError:
            continue
        for pair in find_pairs(folder):
            if not all(root in PurePosixPath(place).parents for place in (pair.images, pair.masks)):
                continue
            settings = {"data_yaml": PurePosixPath(name).name, "classes": classes}
            settings |= {"images_dir": PurePosixPath(pair.images).relative_to(root).as_posix()}
            settings |= {"masks_dir": PurePosixPath(pair.masks).relative_to(root).as_posix()}
            missing, doubts = pair.leave_out()
            looks = look_at_masks(folder, pair)
            if n_void := sum(any(mapping.get(value, value) == VOID for value in look.values) for look in looks):
                missing, doubts = missing | {"ignore": VOID}, [*doubts, doubt_void(n_void)]
            yield Candidate(
                "yolo_semantic",
                pair.masks,
                f"{name} with {len(classes)} classes, {pair.masks}: masks of {len(pair.files):,} images",
                settings | missing,
                tuple(doubts),
                root=root.as_posix(),
                instead_of=frozenset({pair.key}),
            )

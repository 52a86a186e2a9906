"""What looks like CVAT's Segmentation mask 1.1: masks, and a labelmap.txt of the labels and their colours."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from defectbench.data.discovery.folder import Candidate, Folder
from defectbench.data.discovery.pairs import find_pairs
from defectbench.data.discovery.pascal_voc import MASKS_DIR
from defectbench.data.readers.base import LabelFileError
from defectbench.data.readers.cvat_masks import BACKGROUND, read_label_map


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield folders with a labelmap.txt and folders of images and masks."""
    label_maps = [name for name in folder.names(".txt") if PurePosixPath(name).name == "labelmap.txt"]
    for name in label_maps:
        try:
            labels = [label for label in read_label_map(folder.path / name) if label != BACKGROUND]
        except LabelFileError:
            continue
        root = PurePosixPath(name).parent
        for pair in find_pairs(folder):
            if PurePosixPath(pair.masks) == root / MASKS_DIR and root in PurePosixPath(pair.images).parents:
                missing, doubts = pair.leave_out()
                yield Candidate(
                    "cvat_masks",
                    name,
                    f"{name} with {len(labels)} labels, {pair.masks}: masks of {len(pair.files):,} images",
                    {
                        "images_dir": PurePosixPath(pair.images).relative_to(root).as_posix(),
                        "classes": dict(enumerate(labels, start=1)),
                        **missing,
                    },
                    tuple(doubts),
                    root=root.as_posix(),
                    instead_of=frozenset({pair.key}),
                )

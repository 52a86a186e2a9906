"""What looks like a table of defect areas without images."""

import re
from collections.abc import Iterator

from defectbench.data.discovery.folder import UNNAMED, Candidate, Doubt, Folder, name_classes


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield tables with a column ImageId and columns area_N, if there are no images."""
    for name in [] if folder.images else folder.tables():
        table = folder.table(name)
        if table is None or "ImageId" not in table:
            continue
        values = [int(match[1]) for column in table.columns if (match := re.fullmatch(r"area_(\d+)", column))]
        if not values:
            continue
        doubts = [Doubt("there are no images: only splits, folds and subsets can be planned"), UNNAMED]
        size = {}
        if folder.image_size is None:
            doubts.append(Doubt("the table does not say how large the images are: give IMAGE_SIZE=HEIGHTxWIDTH"))
        else:
            size = {"height": folder.image_size[0], "width": folder.image_size[1]}
        yield Candidate(
            "area_table",
            name,
            f"{name}: areas of {len(values)} classes in {len(table):,} images, and no images",
            {"csv": name, "classes": name_classes(values)} | size,
            tuple(doubts),
        )

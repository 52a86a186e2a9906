"""What looks like Kaggle's Severstal layout: a table of run lengths."""

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from defectbench.data.discovery.folder import UNNAMED, Candidate, Doubt, Folder, images_folder, name_classes
from defectbench.data.foreign_text import TextError, has_no_value, parse_whole
from defectbench.data.names import Names, normal_form
from defectbench.data.readers.severstal_csv import COLUMNS, OLD_COLUMNS, table_rows


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield tables of run lengths, each with the folder that has most of its images."""
    places: dict[str, list[str]] = {}
    for image in folder.images:
        places.setdefault(PurePosixPath(normal_form(image)).name, []).append(image)
    for name in folder.tables():
        table = folder.table(name)
        if table is None or not ({*COLUMNS} <= {*table} or {*OLD_COLUMNS} <= {*table}):
            continue
        # A submission's rows are predictions, or an example of how to write them.
        if "submission" in PurePosixPath(name).name.lower():
            continue
        rows = list(table_rows(table, Names([])))
        names = {image for _, image, _, _ in rows}
        found = [(place, name) for name in names for place in places.get(PurePosixPath(normal_form(name)).name, ())]
        if not found:
            continue
        # Names may be in several folders, such as those of training and of unlabelled images.
        tops = Counter(top for place, name in found if (top := images_folder([(place, name)])))
        images_dir, n_found = tops.most_common(1)[0]
        values = {value for _, _, text, code in rows if code and (value := _value(text)) is not None}
        yield Candidate(
            "severstal_csv",
            name,
            f"{name}: run lengths, {len(rows):,} rows of {n_found:,} images in {images_dir}",
            {"csv": name, "images_dir": images_dir, "classes": name_classes(values)},
            (UNNAMED, Doubt("an image without a row in the table counts as clean, as in the competition")),
        )


def _value(text: str) -> int | None:
    try:
        return None if has_no_value(text) else parse_whole(text)
    except TextError:
        return None

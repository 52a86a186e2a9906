"""What looks like Kaggle's Severstal layout: a table of run lengths."""

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from defectbench.data.discovery.folder import UNNAMED, Candidate, Doubt, Folder, name_classes
from defectbench.data.foreign_text import TextError, has_no_value, parse_whole
from defectbench.data.names import Names, normal_form
from defectbench.data.readers.severstal_csv import COLUMNS, OLD_COLUMNS, table_rows


def looks_like(folder: Folder) -> Iterator[Candidate]:
    """Yield tables of run lengths, each with the folder that has most of its images."""
    folders = {normal_form(name): parent for parent, names in folder.images_by_folder.items() for name in names}
    places: dict[str, list[str]] = {}
    for form, parent in folders.items():
        places.setdefault(PurePosixPath(form).name, []).append(parent)
    for name in folder.tables():
        table = folder.table(name)
        if table is None or not ({*COLUMNS} <= {*table} or {*OLD_COLUMNS} <= {*table}):
            continue
        # A submission's rows are predictions, or an example of how to write them.
        if "submission" in PurePosixPath(name).name.lower():
            continue
        rows = list(table_rows(table, Names([])))
        found = Counter(
            place
            for image in {row[1] for row in rows}
            for place in places.get(PurePosixPath(normal_form(image)).name, ())
        )
        if not found:
            continue
        images_dir, n_found = found.most_common(1)[0]
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

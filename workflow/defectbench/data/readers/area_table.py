"""Reader of tables of defect areas, without images and masks."""

from collections.abc import Sequence
from typing import Any

from defectbench.config.ingest import AreaTable
from defectbench.data.foreign_text import TextError, parse_whole, read_table, shorten
from defectbench.data.readers.base import LabelFileError, Problem


def read(settings: AreaTable) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Manifest rows of the images in the table, and the problems of the others.

    Raises:
        LabelFileError: if the table cannot be read or lacks a column.
    """
    path = settings.root / settings.csv
    columns = [f"area_{value}" for value in settings.class_values]
    try:
        table = read_table(path, ["ImageId", *columns])
    except OSError as error:
        raise LabelFileError(f"{path}: cannot be read: {error.strerror}") from None
    except TextError as error:
        raise LabelFileError(f"{path}: {error}") from None
    lacking = [column for column in ("ImageId", *columns) if column not in table]
    if lacking:
        raise LabelFileError(f"{path}: missing the columns {', '.join(lacking)}")
    others = [name for name in table.columns if name.startswith("area_") and name not in columns]
    if others:
        raise LabelFileError(f"{path}: the columns {', '.join(others)} are not in dataset.classes")
    rows, problems = [], []
    first_line: dict[str, int] = {}
    for line, image_id, *texts in table[["ImageId", *columns]].itertuples():
        first = first_line.setdefault(image_id, line)
        problem = f"image {image_id!r} is already in row {first}" if first != line else _wrong_areas(texts, settings)
        if problem:
            problems.append(Problem(image_id, settings.csv, line, problem))
        else:
            rows.append(_manifest_row(image_id, list(map(parse_whole, texts)), settings))
    return sorted(rows, key=lambda row: row["image_id"]), problems


def _wrong_areas(texts: Sequence[str], settings: AreaTable) -> str | None:
    size = settings.height * settings.width
    bad = [shorten(text) for text in texts if not _is_area(text, size)]
    return f"areas must be whole numbers from 0 to {size} pixels, got {', '.join(map(repr, bad))}" if bad else None


def _is_area(text: str, size: int) -> bool:
    try:
        return 0 <= parse_whole(text) <= size
    except TextError:
        return False


def _manifest_row(image_id: str, area: list[int], settings: AreaTable) -> dict[str, Any]:
    unknown = dict.fromkeys(("stored_as", "sha256", "phash", "rle", "detail"))
    size = {"height": settings.height, "width": settings.width, "channels": 1}
    return {"image_id": image_id, "path": image_id, "area": area} | size | unknown

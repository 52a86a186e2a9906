"""Reader of Kaggle's Severstal label table: ``ImageId,ClassId,EncodedPixels``, a row per image and class with a defect.

Also its older form, ``ImageId_ClassId,EncodedPixels`` with four rows an image. Rows without a code, and without a
class too where the image is clean, mean that there is no defect; tools write -1, NaN and the like for them.
"""

from collections import defaultdict
from collections.abc import Iterator

import pandas as pd

from defectbench.config.ingest import SeverstalCsv
from defectbench.data.foreign_text import MAX_SHOWN, TextError, has_no_value, parse_whole, read_table, shorten
from defectbench.data.names import Names
from defectbench.data.readers.base import (
    BadLabels,
    LabelFileError,
    Note,
    Problem,
    empty_rle,
    image_ids,
    rewritten,
    unlabelled_images,
)
from defectbench.data.rle import RleError, coco_from_runs, runs_from_severstal

COLUMNS = ["ImageId", "ClassId", "EncodedPixels"]
OLD_COLUMNS = ["ImageId_ClassId", "EncodedPixels"]


class SeverstalLabels:
    """Labels of a Severstal table; an image without a row is clean, if another of its folder has one."""

    def __init__(self, settings: SeverstalCsv) -> None:
        """Read the table and check its ids.

        Raises:
            LabelFileError: if the table cannot be read or lacks a column.
        """
        self.problems: list[Problem] = []
        self.notes: list[Note] = []
        self._file = settings.csv
        self._n_classes = len(settings.classes)
        # image id -> (line, index of the class, code)
        self._codes: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        self._collect(settings)

    def _collect(self, settings: SeverstalCsv) -> None:
        class_index = {value: index for index, value in enumerate(settings.class_values)}
        classes = ", ".join(map(str, class_index))
        images = Names(image_ids(settings))
        first_line: dict[tuple[str, int | None], int] = {}
        listed = set()
        for line, name, text, code in table_rows(_read_table(settings), images):
            image_id = images.find(name)
            value = _class_value(text)
            if image_id is None:
                problem = f"image {shorten(name, MAX_SHOWN)!r} is not in {settings.images_dir}{images.hint(name)}"
                # Whose labels these are is unknown, and an image without labels would be clean.
                self.problems.append(Problem(name, self._file, line, problem, always_stops=True))
                continue
            listed.add(image_id)
            first = first_line.setdefault((image_id, value), line)
            if value is None or value not in class_index:
                if code or not (has_no_value(text) or value == 0):
                    self._report(image_id, line, f"ClassId {shorten(text)!r} is not in classes: {classes}")
            elif first != line:
                self._report(image_id, line, f"image {image_id!r} has class {value} already in row {first}")
            elif code:
                self._codes[image_id].append((line, class_index[value], code))
        self.notes += [rewritten(image_id, name, image_id) for name, image_id in images.rewritten.items()]
        self.problems += unlabelled_images(settings, images.names, listed)

    def _report(self, image_id: str, line: int, problem: str) -> None:
        self.problems.append(Problem(image_id, self._file, line, problem))

    def size(self, image_id: str) -> None:
        """See :meth:`defectbench.data.readers.base.Labels.size`; a table does not say."""

    def rles(self, image_id: str, height: int, width: int) -> list[bytes]:
        """See :meth:`defectbench.data.readers.base.Labels.rles`."""
        rles = [empty_rle(height, width)] * self._n_classes
        problems = []
        for line, index, code in self._codes.get(image_id, []):
            try:
                rles[index] = coco_from_runs(runs_from_severstal(code, height, width), height, width)
            except RleError as error:
                problems.append(Problem(image_id, self._file, line, str(error)))
        if problems:
            raise BadLabels(problems)
        return rles


def _read_table(settings: SeverstalCsv) -> pd.DataFrame:
    path = settings.root / settings.csv
    try:
        table = read_table(path, [*COLUMNS, *OLD_COLUMNS])
    except OSError as error:
        raise LabelFileError(f"{path}: cannot be read: {error.strerror}") from None
    except TextError as error:
        raise LabelFileError(f"{path}: {error}") from None
    if "ImageId" not in table and set(OLD_COLUMNS) <= set(table):
        return table
    lacking = [column for column in COLUMNS if column not in table]
    if lacking:
        raise LabelFileError(f"{path}: needs the columns {', '.join(COLUMNS)}; missing: {', '.join(lacking)}")
    return table


def table_rows(table: pd.DataFrame, images: Names) -> Iterator[tuple[int, str, str, str]]:
    """Line, image name, class and code of every row, whichever form ``table`` has; no code is ''."""
    codes = ["" if has_no_value(code) else code for code in table["EncodedPixels"]]
    if "ImageId" in table:
        yield from zip(table.index, table["ImageId"], table["ClassId"], codes, strict=True)
        return
    for line, text, code in zip(table.index, table["ImageId_ClassId"], codes, strict=True):
        name, separator, value = text.rpartition("_")
        # A row that lacks its class is reported for its image, whose name may contain a '_' too.
        whole = not separator or images.find(text) is not None
        yield (line, text, "", code) if whole else (line, name, value, code)


def _class_value(text: str) -> int | None:
    """The class of a cell; None if it holds no whole number."""
    try:
        return parse_whole(text)
    except TextError:
        return None


def read(settings: SeverstalCsv) -> SeverstalLabels:
    """Read the label table of ``settings``; see :class:`SeverstalLabels`."""
    return SeverstalLabels(settings)

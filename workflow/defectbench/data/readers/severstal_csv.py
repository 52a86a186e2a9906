"""Reader of Kaggle's Severstal label table: ``ImageId,ClassId,EncodedPixels``, a row per image and class with a defect.

Also its older form, ``ImageId_ClassId,EncodedPixels`` with four rows an image. Rows without a code, and without a
class too where the image is clean, mean that there is no defect.
"""

from collections import defaultdict
from collections.abc import Iterator

import pandas as pd

from defectbench.config.ingest import SeverstalCsv
from defectbench.data.readers.base import BadLabels, LabelFileError, Problem, empty_rle, image_ids
from defectbench.data.rle import RleError, coco_from_runs, runs_from_severstal

COLUMNS = ["ImageId", "ClassId", "EncodedPixels"]
OLD_COLUMNS = ["ImageId_ClassId", "EncodedPixels"]


class SeverstalLabels:
    """Labels of a Severstal table; an image without a row is clean."""

    def __init__(self, settings: SeverstalCsv) -> None:
        """Read the table and check its ids.

        Raises:
            LabelFileError: if the table cannot be read or lacks a column.
        """
        self.problems: list[Problem] = []
        self._file = settings.csv
        self._n_classes = len(settings.classes)
        # image id -> (line, index of the class, code)
        self._codes: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        self._collect(settings)

    def _collect(self, settings: SeverstalCsv) -> None:
        class_index = {str(value): index for index, value in enumerate(settings.class_values)}
        images = set(image_ids(settings))
        first_line: dict[tuple[str, str], int] = {}
        for line, (image_id, value, code) in enumerate(_rows(_read_table(settings), images), start=2):
            first = first_line.setdefault((image_id, value), line)
            if image_id not in images:
                self._report(image_id, line, f"image {image_id!r} is not in {settings.images_dir}")
            elif value not in class_index and (value or code):
                self._report(image_id, line, f"ClassId {value!r} is not in classes: {', '.join(class_index)}")
            elif first != line:
                self._report(image_id, line, f"image {image_id!r} has class {value} already in row {first}")
            elif code:
                self._codes[image_id].append((line, class_index[value], code))

    def _report(self, image_id: str, line: int, problem: str) -> None:
        self.problems.append(Problem(image_id, self._file, line, problem))

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
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False)
    except (OSError, ValueError) as error:
        raise LabelFileError(f"{path}: cannot be read as a table: {error}") from None
    if "ImageId" not in table and set(OLD_COLUMNS) <= set(table):
        return table
    lacking = [column for column in COLUMNS if column not in table]
    if lacking:
        raise LabelFileError(f"{path}: needs the columns {', '.join(COLUMNS)}; missing: {', '.join(lacking)}")
    return table


def _rows(table: pd.DataFrame, images: set[str]) -> Iterator[tuple[str, str, str]]:
    """Image id, class and code of every row, whichever form ``table`` has; ``images`` are the ids of all images."""
    if "ImageId" in table:
        # Where a column has gaps, pandas and others write its whole numbers as 3.0.
        values = table["ClassId"].str.removesuffix(".0")
        yield from zip(table["ImageId"], values, table["EncodedPixels"].str.strip(), strict=True)
        return
    for text, code in zip(table["ImageId_ClassId"], table["EncodedPixels"].str.strip(), strict=True):
        image_id, separator, value = text.rpartition("_")
        # A row that lacks its class is reported for its image, whose name may contain a '_' too.
        yield (image_id, value, code) if separator and text not in images else (text, "", code)


def read(settings: SeverstalCsv) -> SeverstalLabels:
    """Read the label table of ``settings``; see :class:`SeverstalLabels`."""
    return SeverstalLabels(settings)

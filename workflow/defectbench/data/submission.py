"""Kaggle submissions of the Severstal competition: run-length codes of every image and class."""

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from defectbench.data.manifest import Manifest
from defectbench.data.preview import preview_list
from defectbench.data.rle import RleError, runs_from_coco, runs_from_severstal, severstal_from_runs
from defectbench.data.tables import read_unmarked
from defectbench.files import atomic
from defectbench.script import UserError

Layout = Literal["joined", "separate"]
# The competition began with the first and changed to the second; the order of columns does not matter.
HEADERS: dict[Layout, tuple[str, ...]] = {
    "joined": ("ImageId_ClassId", "EncodedPixels"),
    "separate": ("ImageId", "ClassId", "EncodedPixels"),
}

Key = tuple[str, int]
"""(image id, class value)"""
Runs = dict[Key, np.ndarray]
"""runs (N, 2) int64 of every image and class, as in :mod:`defectbench.data.rle`"""


class SubmissionError(UserError):
    """A submission that cannot be read, or of other images or classes."""


def write_submission(path: Path, entries: Iterable[tuple[str, int, np.ndarray]], layout: Layout) -> int:
    """Write ``entries`` (image id, class value, runs (N, 2)), streamed, empty ones too; returns the number of rows."""
    n_rows = 0
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(HEADERS[layout])
        for image_id, value, runs in entries:
            names = (f"{image_id}_{value}",) if layout == "joined" else (image_id, value)
            table.writerow((*names, severstal_from_runs(runs)))
            n_rows += 1
    return n_rows


def read_order(path: Path, expected: Collection[Key]) -> list[Key]:
    """The ``expected`` rows in the order of a sample submission, which lists them, or each image once.

    Raises:
        SubmissionError: if it is neither of the layouts, or of other images or classes.
    """
    listed = list(_read_keys(path, read_unmarked(path)))
    images = dict.fromkeys(image_id for image_id, _ in listed)
    if len(listed) == len(images) < len(expected):
        values = sorted({value for _, value in expected})
        keys = [(image_id, value) for image_id in images for value in values]
    else:
        keys = [(image_id, int(value) if value.isdecimal() else -1) for image_id, value in listed]
    wrong = [("lacks", set(expected) - set(keys)), ("has besides", set(keys) - set(expected))]
    for what, others in wrong:
        if others:
            first = preview_list([f"{image_id} class {value}" for image_id, value in sorted(others)])
            raise SubmissionError(f"{path} {what} {len(others)} of the predicted rows: {first}")
    if len(keys) > len(set(keys)):
        raise SubmissionError(f"{path} lists a row twice")
    return keys


def read_submission(path: Path, sizes: Mapping[str, tuple[int, int]]) -> Runs:
    """Read a submission in either layout; ``sizes`` are height and width of the images.

    Raises:
        SubmissionError: if it is neither, a row is listed twice or names an unknown image, or a code is not valid.
    """
    table = read_unmarked(path)
    keys = _read_keys(path, table)
    submitted: Runs = {}
    for row, ((image_id, value), code) in enumerate(zip(keys, table["EncodedPixels"], strict=True), start=2):
        where = f"{path}, line {row}"
        if image_id not in sizes or not value.isdecimal():
            raise SubmissionError(f"{where}: no image {image_id!r} and class {value!r} to submit for")
        if (image_id, int(value)) in submitted:
            raise SubmissionError(f"{where}: {image_id}, class {value} is listed twice")
        try:
            submitted[image_id, int(value)] = runs_from_severstal(code, *sizes[image_id])
        except RleError as error:
            raise SubmissionError(f"{where}: {error}") from None
    return submitted


def _read_keys(path: Path, table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Image id and class of each row of a submission."""
    if set(HEADERS["joined"]) <= set(table):
        # Image ids may contain '_': the class follows the last one.
        return table["ImageId_ClassId"].str.rpartition("_")[[0, 2]].itertuples(index=False, name=None)
    if set(HEADERS["separate"]) <= set(table):
        return table[["ImageId", "ClassId"]].itertuples(index=False, name=None)
    wanted = " or ".join(",".join(header) for header in HEADERS.values())
    raise SubmissionError(f"{path}: has the columns {','.join(table)}; a submission has {wanted}")


def true_runs(manifest: Manifest, image_ids: Iterable[str]) -> Runs:
    """The labels of the images as the runs of a submission."""
    rows = manifest.frame.set_index("image_id").loc[list(image_ids), "rle"]
    return {
        (image_id, value): runs_from_coco(counts)
        for image_id, codes in rows.items()
        for value, counts in zip(manifest.class_values, codes[: len(manifest.class_values)], strict=True)
    }

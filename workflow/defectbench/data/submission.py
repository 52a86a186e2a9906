"""Kaggle submissions of the Severstal competition: run-length codes of every image and class."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from defectbench.data.manifest import Manifest
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


def read_submission(path: Path, sizes: Mapping[str, tuple[int, int]]) -> Runs:
    """Read a submission in either layout; ``sizes`` are height and width of the images.

    Raises:
        SubmissionError: if it is neither, a row is listed twice or names an unknown image, or a code is not valid.
    """
    table = read_unmarked(path)
    if set(HEADERS["joined"]) <= set(table):
        # Image ids may contain '_': the class follows the last one.
        keys = table["ImageId_ClassId"].str.rpartition("_")[[0, 2]].itertuples(index=False, name=None)
    elif set(HEADERS["separate"]) <= set(table):
        keys = table[["ImageId", "ClassId"]].itertuples(index=False, name=None)
    else:
        wanted = " or ".join(",".join(header) for header in HEADERS.values())
        raise SubmissionError(f"{path}: has the columns {','.join(table)}; a submission has {wanted}")
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


def true_runs(manifest: Manifest, image_ids: Iterable[str]) -> Runs:
    """The labels of the images as the runs of a submission."""
    rows = manifest.frame.set_index("image_id").loc[list(image_ids), "rle"]
    return {
        (image_id, value): runs_from_coco(counts)
        for image_id, codes in rows.items()
        for value, counts in zip(manifest.class_values, codes[: len(manifest.class_values)], strict=True)
    }

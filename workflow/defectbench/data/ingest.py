"""Ingest: reading and checking of all images and labels, and the list of unusable samples."""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from defectbench.config.dataset import DatasetSettings
from defectbench.data.duplicates import fingerprint, group_pictures
from defectbench.data.images import ImageError, decode_image, is_grey, stored_as, stream
from defectbench.data.manifest import SCHEMA, Manifest
from defectbench.data.readers import READERS, ROW_READERS
from defectbench.data.readers.base import BadLabels, Labels, Problem, image_ids
from defectbench.data.rle import coco_area
from defectbench.files import atomic
from defectbench.script import UserError


class BadSamplesError(UserError):
    """Samples that cannot be used, where the settings do not allow quarantine."""


def ingest(settings: DatasetSettings, problem_file: Path, threads: int = 2) -> tuple[Manifest, list[Problem]]:
    """Read the dataset of ``settings`` in ``threads`` threads; 4 kB of detail of each decoded image are kept.

    Returns the manifest of the usable images and the problems of the others, in the order of file and row.

    Raises:
        BadSamplesError: if there are problems and ``on_bad_sample`` is 'error' (all of them are then in
            ``problem_file``), or if no image is left.
        LabelFileError: if a label file cannot be read at all.
    """
    problem_file.unlink(missing_ok=True)
    if settings.has_images:
        labels = READERS[settings.format](settings)
        problems = list(labels.problems)
        rows = list(_read_images(settings, labels, problems, threads))
    else:
        rows, problems = ROW_READERS[settings.format](settings)
    problems.sort(key=lambda problem: (problem.file, problem.row or 0))
    if problems and settings.on_bad_sample == "error":
        write_issues(problem_file, problems)
        raise BadSamplesError(_error_message(problems, settings, problem_file))
    bad = {problem.sample for problem in problems}
    rows = [row for row in rows if row["image_id"] not in bad]
    if settings.images == "defective":
        rows = [row for row in rows if sum(row["area"]) > 0]
    if not rows:
        write_issues(problem_file, problems)
        raise BadSamplesError(f"dataset {settings.name}: no usable image is left; excluded: {problem_file}")
    details = [row.pop("detail") for row in rows]
    frame = pd.DataFrame(rows).astype({"phash": "UInt64"})
    frame["group"] = group_pictures(frame, np.stack(details)) if settings.has_images else frame["image_id"]
    return Manifest(frame[SCHEMA.names], settings.name, settings.class_names, settings.class_values, len(bad)), problems


def _read_images(
    settings: DatasetSettings, labels: Labels, problems: list[Problem], threads: int
) -> Iterator[dict[str, Any]]:
    """A manifest row, with the image's detail, per readable image in the order of ids.

    The problems of the others go to ``problems``.
    """
    for result in stream(lambda image_id: _read_image(image_id, settings, labels), image_ids(settings), threads):
        if isinstance(result, dict):
            yield result
        else:
            problems += result


def _read_image(image_id: str, settings: DatasetSettings, labels: Labels) -> dict[str, Any] | list[Problem]:
    path = (PurePosixPath(settings.images_dir) / image_id).as_posix()
    try:
        data = (settings.root / path).read_bytes()
        stored = stored_as(data)
        image = decode_image(data, grey=stored.startswith("grey"))
        rles = labels.rles(image_id, *image.shape[:2])
    except OSError as error:
        return [Problem(image_id, path, None, f"image cannot be read: {error.strerror}")]
    except ImageError as error:
        return [Problem(image_id, path, None, f"image {error}")]
    except BadLabels as error:
        return error.problems
    phash, detail = fingerprint(image)
    return {
        "image_id": image_id,
        "path": path,
        "height": image.shape[0],
        "width": image.shape[1],
        "channels": 1 if image.ndim == 2 or is_grey(image) else 3,
        "stored_as": stored,
        "sha256": hashlib.sha256(data).hexdigest(),
        "phash": phash,
        "detail": detail,
        "rle": rles,
        "area": [coco_area(counts, *image.shape[:2]) for counts in rles],
    }


def _error_message(problems: list[Problem], settings: DatasetSettings, problem_file: Path) -> str:
    lines = [
        f"dataset {settings.name}: {len({problem.sample for problem in problems})} samples cannot be used, "
        f"{len(problems)} problems; the first of them:",
        *(f"  {p.file}{'' if p.row is None else f', row {p.row}'}: {p.problem}" for p in problems[:5]),
        f"All of them: {problem_file}",
        "Repair the files, or set on_bad_sample: quarantine to continue without these samples.",
    ]
    return "\n".join(lines)


def write_issues(path: Path, problems: list[Problem]) -> None:
    """Write ``problems`` as CSV with the columns file, row, problem; with a header even if there are none."""
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "row", "problem"])
        writer.writerows(problem[1:] for problem in problems)

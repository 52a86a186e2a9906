"""Ingest: reading and checking of all images and labels, and the list of unusable samples."""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from defectbench.config.dataset import DatasetSettings
from defectbench.data.decoders import ImageError
from defectbench.data.deep_images import count_stored_channels, decode_pixels, stretch
from defectbench.data.duplicates import fingerprint, group_pictures
from defectbench.data.images import (
    QUARTER_TURNS,
    ROTATED,
    UPRIGHT,
    Header,
    is_large,
    read_header,
    stream,
)
from defectbench.data.manifest import SCHEMA, Manifest
from defectbench.data.passed_over import folder_notes
from defectbench.data.pixel_formats import DEPTHS, picture, value_type
from defectbench.data.preview import preview_names
from defectbench.data.readers import READERS, ROW_READERS
from defectbench.data.readers.base import BadLabels, Labels, Note, Problem, image_ids
from defectbench.data.rle import coco_area, decode_coco, encode_coco
from defectbench.data.tables import csv_text
from defectbench.files import write_text
from defectbench.printable import printable
from defectbench.script import UserError


class BadSamplesError(UserError):
    """Samples that cannot be used, where the settings do not allow quarantine."""


class AllIgnoredError(Exception):
    """An image whose pixels are all ignored."""


class Ingested(NamedTuple):
    """What ingest makes of a dataset."""

    manifest: Manifest
    """The usable images."""
    problems: list[Problem]
    """Those of the other samples, in the order of file and row."""
    notes: list[Note]
    """What was read, but not as it stands there, and what was passed over, sorted."""


def ingest(settings: DatasetSettings, problem_file: Path, threads: int = 2) -> Ingested:
    """Read the dataset of ``settings`` in ``threads`` threads; 4 kB of detail of each decoded image are kept.

    Raises:
        BadSamplesError: if there are problems and ``on_bad_sample`` is 'error', or one of them always stops (all of
            them are then in ``problem_file``), or if no image is left.
        LabelFileError: if a label file cannot be read at all.
    """
    problem_file.unlink(missing_ok=True)
    notes = folder_notes(settings) if settings.has_images else []
    if settings.has_images:
        labels = READERS[settings.format](settings.with_ignored_class())
        problems = list(labels.problems)
        rows = list(_read_images(settings, labels, problems, threads))
        problems += _odd_depths(rows, settings)
        notes += labels.notes
    else:
        rows, problems = ROW_READERS[settings.format](settings)
    problems.sort(key=lambda problem: (problem.file, problem.row or 0))
    stops = problems if settings.on_bad_sample == "error" else [problem for problem in problems if problem.always_stops]
    if stops:
        write_issues(problem_file, problems)
        raise BadSamplesError(_error_message(stops, notes, settings, problem_file))
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
    manifest = Manifest(frame[SCHEMA.names], settings.name, settings.class_names, settings.class_values, len(bad))
    return Ingested(manifest, problems, sorted(notes))


def _read_images(
    settings: DatasetSettings, labels: Labels, problems: list[Problem], threads: int
) -> Iterator[dict[str, Any]]:
    """A manifest row, with the image's detail, per readable image in the order of ids.

    The problems of the others go to ``problems``.
    """
    folder = settings.root / settings.images_dir
    results = stream(
        lambda image_id: _read_image(image_id, settings, labels),
        image_ids(settings),
        threads,
        alone=lambda image_id: is_large(folder / image_id),
    )
    for result in results:
        if isinstance(result, dict):
            yield result
        else:
            problems += result


def _read_image(image_id: str, settings: DatasetSettings, labels: Labels) -> dict[str, Any] | list[Problem]:
    path = (PurePosixPath(settings.images_dir) / image_id).as_posix()
    try:
        data = (settings.root / path).read_bytes()
        header = read_header(data, stacked=settings.pages is not None)
        if header.dtype in DEPTHS and header.dtype != "uint8" and settings.scaling is None:
            raise ImageError(f"is {header.stored_as}: if all images are, set dataset.scaling: {{}}")
        upright = _is_upright(image_id, header, settings, labels)
        image = decode_pixels(data, header, settings.channels, upright)
        height, width = image.shape[:2]
        phash, detail = fingerprint(picture(stretch(image)))
        channels = count_stored_channels(image, settings.channels)
        sha256 = hashlib.sha256(data).hexdigest()
        del image, data  # a large image and its masks need not be in memory together
        rles = labels.rles(image_id, height, width)
        if settings.ignore is not None:
            rles = _set_ignored_last(rles, settings, height, width)
    except OSError as error:
        return [Problem(image_id, path, None, f"image cannot be read: {error.strerror}")]
    except ImageError as error:
        return [Problem(image_id, path, None, f"image {error}")]
    except AllIgnoredError:
        return [Problem(image_id, path, None, "every pixel is ignored: nothing is left to learn from or to score")]
    except BadLabels as error:
        return error.problems
    return {
        "image_id": image_id,
        "path": path,
        "height": height,
        "width": width,
        "channels": channels,
        "stored_as": header.stored_as + ("" if header.orientation == 1 else UPRIGHT if upright else ROTATED),
        "sha256": sha256,
        "phash": phash,
        "detail": detail,
        "rle": rles,
        "area": [coco_area(counts, height, width) for counts in rles[: len(settings.classes)]],
    }


def _odd_depths(rows: list[dict[str, Any]], settings: DatasetSettings) -> list[Problem]:
    """Problems of images whose values are of another type than those of most.

    Raises:
        BadSamplesError: if deep images are announced, and none is.
    """
    ids: dict[str, list[str]] = {}
    for row in rows:
        ids.setdefault(DEPTHS[value_type(row["stored_as"]).name], []).append(row["image_id"])
    (usual, most), *others = sorted(ids.items(), key=lambda item: -len(item[1])) or [("", [])]
    if settings.scaling is not None and usual == DEPTHS["uint8"] and not others:
        raise BadSamplesError(f"dataset {settings.name}: all images are 8-bit, used as they are: leave scaling out")
    counts = "; ".join(f"{depth}: {preview_names(some)}" for depth, some in ((usual, most), *others))
    return [
        Problem(
            image_id,
            (PurePosixPath(settings.images_dir) / image_id).as_posix(),
            None,
            f"image is {depth}, most are {usual}: two depths cannot be mixed ({counts})",
        )
        for depth, some in others
        for image_id in some
    ]


def _set_ignored_last(rles: list[bytes], settings: DatasetSettings, height: int, width: int) -> list[bytes]:
    """Counts as in the manifest, of those of ``settings.with_ignored_class()``: ignored pixels are of no class.

    Raises:
        AllIgnoredError: if all pixels are ignored.
    """
    names = settings.with_ignored_class().class_names
    ignored = rles[names.index(str(settings.ignore))]
    area = coco_area(ignored, height, width)
    if area == height * width:
        raise AllIgnoredError
    of_classes = [counts for name, counts in zip(names, rles, strict=True) if name != str(settings.ignore)]
    if area:
        decided = decode_coco(ignored, height, width) == 0
        of_classes = [encode_coco(decode_coco(counts, height, width) * decided) for counts in of_classes]
    return [*of_classes, ignored]


def _is_upright(image_id: str, header: Header, settings: DatasetSettings, labels: Labels) -> bool:
    """Whether an image is to be used as viewers show it, not as stored; where they are the same, it is not."""
    if header.orientation == 1:
        return False
    if settings.exif is not None:
        return settings.exif == "upright"
    size, stored = labels.size(image_id), header.size
    if header.orientation in QUARTER_TURNS and stored[0] != stored[1] and size is not None:
        return size == stored[::-1]
    raise ImageError(
        f"is turned by its EXIF data (orientation {header.orientation}), and its labels do not tell whether they are of"
        " the stored picture or of the upright one that viewers show: set dataset.exif to stored or upright"
    )


def _error_message(problems: list[Problem], notes: list[Note], settings: DatasetSettings, problem_file: Path) -> str:
    lines = [
        f"dataset {settings.name}: {len({problem.sample for problem in problems})} samples cannot be used, "
        f"{len(problems)} problems; the first of them:",
        *(f"  {p.file}{'' if p.row is None else f', row {p.row}'}: {p.problem}" for p in problems[:5]),
        f"All of them: {problem_file}",
    ]
    stopping = [problem for problem in problems if problem.always_stops]
    if len(stopping) < len(problems):
        lines.append("Repair the files, or set on_bad_sample: quarantine to continue without these samples.")
    if stopping:
        lines.append(
            f"Correct the names, or remove the labels, of {len(stopping)} that find no image: they are never set aside,"
            " since an image without a label counts as clean."
        )
        lines += [f"In {note.sample}, {note.finding}: {note.detail}" for note in notes if note.finding == "passed over"]
    return "\n".join(lines)


def write_issues(path: Path, problems: list[Problem]) -> None:
    """Write ``problems`` as CSV with the columns file, row, problem; with a header even if there are none."""
    rows = [(printable(problem.file), problem.row, printable(problem.problem)) for problem in problems]
    write_text(path, csv_text(pd.DataFrame(rows, columns=["file", "row", "problem"], dtype=object)))


def write_notes(path: Path, notes: list[Note]) -> None:
    """Write ``notes`` as CSV with the columns image_id, finding, detail, those of the audit."""
    rows = [tuple(map(printable, note)) for note in notes]
    write_text(path, csv_text(pd.DataFrame(rows, columns=["image_id", "finding", "detail"])))

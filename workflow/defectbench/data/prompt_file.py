"""File of prompts, one row each.

Coordinates are as in :mod:`defectbench.data.prompts`. The schema's metadata name the source, the kind and all images
that were searched, since an image without prompts has no row.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from defectbench.data.prompts import Prompt
from defectbench.files import atomic
from defectbench.script import UserError

_KEY = b"defectbench.prompts"
SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("prompt_id", pa.int32()),  # from 0 in each image
        ("kind", pa.string()),  # box, points, box_points, mask, full_box
        ("coordinates", pa.list_(pa.float32())),  # x0, y0, x1, y1, ...
        ("labels", pa.list_(pa.int8())),  # one for each point
        ("mask", pa.binary()),  # COCO counts of the object's mask; null but for kind mask
        ("source", pa.string()),  # oracle, fixed, or the id of the experiment that made it
        ("score", pa.float64()),  # of the experiment that made it; 1 for all others
        ("threshold", pa.float64()),  # the score from which its objects count
    ]
)


class PromptError(UserError):
    """Missing or invalid prompts."""


def write_prompts(path: Path, kind: str, source: str, prompts: Iterable[tuple[str, list[Prompt]]]) -> int:
    """Write the ``prompts`` (image id, prompts) of one ``kind`` and ``source``, atomically; return their number."""
    rows, image_ids = [], []
    for image_id, image_prompts in prompts:
        image_ids.append(image_id)
        for number, prompt in enumerate(image_prompts):
            values = (prompt.points.ravel().tolist(), prompt.labels.tolist(), prompt.rle)
            row = (image_id, number, kind, *values, source, prompt.score, prompt.threshold)
            rows.append(dict(zip(SCHEMA.names, row, strict=True)))
    header = {"source": source, "kind": kind, "image_ids": image_ids}
    table = pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata({_KEY: json.dumps(header).encode()}))
    with atomic(path) as temporary:
        pq.write_table(table, temporary)
    return len(rows)


def read_prompts(path: Path, source: str) -> dict[str, list[Prompt]]:
    """Prompts of all searched images; the list of an image without any is empty.

    Raises:
        PromptError: if the file cannot be read, holds prompts of another ``source``, or is not
            a file of :func:`write_prompts`.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise PromptError(f"{path}: no file of prompts: {error}") from None
    metadata = table.schema.metadata or {}
    if _KEY not in metadata or not table.schema.equals(SCHEMA, check_metadata=False):
        raise PromptError(f"{path}: no file of prompts (written by the rules prompts and cascade_prompts)")
    header = json.loads(metadata[_KEY])
    prompts: dict[str, list[Prompt]] = {image_id: [] for image_id in header["image_ids"]}
    if header["source"] != source:
        raise PromptError(f"{path}: its prompts are of source {header['source']!r}, not {source!r}")
    for row in table.to_pylist():
        if problem := _problem(row, prompts, header["kind"], source):
            raise PromptError(f"{path}: prompt {row['prompt_id']} of {row['image_id']} {problem}: make them again")
        points = np.array(row["coordinates"], np.float32).reshape(-1, 2)
        prompt = Prompt(points, np.array(row["labels"], np.int8), row["mask"], row["score"], row["threshold"])
        prompts[row["image_id"]].append(prompt)
    return prompts


def _problem(row: dict, prompts: dict[str, list[Prompt]], kind: str, source: str) -> str | None:
    """What is wrong with a row of the file, if anything."""
    if row["image_id"] not in prompts:
        return "is of an image that was not searched"
    if row["prompt_id"] != len(prompts[row["image_id"]]):
        return f"is number {len(prompts[row['image_id']])} of its image"
    if (row["source"], row["kind"]) != (source, kind):
        return f"has source {row['source']!r} and kind {row['kind']!r}, not {source!r} and {kind!r}"
    if not row["labels"] or len(row["coordinates"]) != 2 * len(row["labels"]):
        return f"has {len(row['labels'])} labels and {len(row['coordinates'])} coordinates"
    if not np.isfinite(row["coordinates"]).all():
        return "has a coordinate that is no number"
    if (kind == "mask") == (row["mask"] is None):
        return "has no mask" if kind == "mask" else "has a mask"
    if not (0 <= row["score"] <= 1 and 0 < row["threshold"] < 1):
        return f"has score {row['score']} and threshold {row['threshold']}"
    return None

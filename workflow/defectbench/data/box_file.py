"""File of boxes: what a detector predicts, a row per box.

Columns: ``image_id``, ``class`` ("merged" for any defect), ``x0``, ``y0``, ``x1``, ``y1`` (left, top, right, bottom in
the image's own pixels; pixel (0, 0) spans 0 ... 1) and ``score`` in [0, 1]. The schema's metadata name the role, the
classes, and all images that were predicted, since an image without boxes has no row.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from defectbench.files import atomic
from defectbench.script import UserError

_KEY = b"defectbench.boxes"
SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("class", pa.string()),
        *[(name, pa.float64()) for name in ("x0", "y0", "x1", "y1")],
        ("score", pa.float64()),
    ]
)


class BoxFileError(UserError):
    """A file of boxes that cannot be read."""


@dataclass(frozen=True)
class BoxPredictions:
    """All boxes of one role; ``boxes`` has the columns of SCHEMA."""

    role: str
    classes: tuple[str, ...]
    image_ids: tuple[str, ...]
    boxes: pd.DataFrame


def write_boxes(path: Path, predictions: BoxPredictions) -> None:
    """Write ``predictions`` as Parquet, atomically."""
    header = {name: getattr(predictions, name) for name in ("role", "classes", "image_ids")}
    table = pa.Table.from_pandas(predictions.boxes, schema=SCHEMA, preserve_index=False)
    with atomic(path) as temporary:
        pq.write_table(table.replace_schema_metadata({_KEY: json.dumps(header).encode()}), temporary)


def read_boxes(path: Path) -> BoxPredictions:
    """Read what :func:`write_boxes` wrote.

    Raises:
        BoxFileError: if it cannot be read, or is another kind of file.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BoxFileError(f"{path}: cannot be read as a file of boxes: {error}") from None
    metadata = table.schema.metadata or {}
    if _KEY not in metadata:
        raise BoxFileError(f"{path}: not a file of boxes (written by predict_*_boxes)")
    header = json.loads(metadata[_KEY])
    return BoxPredictions(header["role"], tuple(header["classes"]), tuple(header["image_ids"]), table.to_pandas())

"""Records of the components of masks, the rows of components.parquet."""

import numpy as np
import pyarrow as pa

from defectbench.metrics import components
from defectbench.metrics.components import Components
from defectbench.metrics.shape import Shape

PREDICTION, TRUTH = "prediction", "truth"

HELD = 1024
"""Rows that are kept before they become columns, which take a tenth of their memory."""

_INT = pa.int32()
_KEYS = ("role", "image_id", "group", "class", "policy", "side")
_VALUES = {
    "index": _INT,  # within its image, class, policy and side
    "score": pa.uint16(),  # highest code inside; null on the side of the truth
    "area": _INT,  # pixels
    "x": _INT,
    "y": _INT,
    "width": _INT,
    "height": _INT,
    "match": _INT,  # index of the matched component of the other side, or -1
    "iou": pa.float64(),  # of the pair, null where there is none
    "cluster": _INT,  # true components within 4 px of each other share it; null on the side of the prediction
}
COMPONENTS = pa.schema([(name, pa.string()) for name in _KEYS] + list(_VALUES.items()))


class ComponentRecords:
    """Collects the rows of components.parquet: predicted and true components, matched, of every policy."""

    def __init__(self, min_iou: float) -> None:
        """Match from ``min_iou`` on."""
        self._min_iou = min_iou
        self._keys: list[tuple[str, ...]] = []
        self._blocks: list[dict[str, np.ndarray]] = []
        self._tables: list[pa.Table] = []

    def add(self, keys: dict[str, str], prediction: Shape, truth: Shape, codes: np.ndarray) -> None:
        """Add the components of both masks; ``codes`` (H, W) uint16 give the scores, ``keys`` all but the side."""
        predicted, true = prediction.components, truth.components
        scores = components.highest_codes(predicted, codes)
        matched, ious = components.match_components(predicted, true, scores, self._min_iou)
        true_matches, true_ious = np.full(len(true), -1, np.int32), np.full(len(true), np.nan)
        pairs = np.flatnonzero(matched >= 0)
        true_matches[matched[pairs]], true_ious[matched[pairs]] = pairs, ious[pairs]
        self._add(keys, PREDICTION, predicted, score=scores, match=matched, iou=ious)
        self._add(keys, TRUTH, true, match=true_matches, iou=true_ious, cluster=truth.clusters)

    def table(self) -> pa.Table:
        """All rows, in the order in which they were added."""
        return pa.concat_tables([*self._tables, self._waiting()])

    def _waiting(self) -> pa.Table:
        """The blocks that are not in a table yet."""
        sizes = [len(block["area"]) for block in self._blocks]
        rows = np.repeat(np.arange(len(sizes)), sizes)
        columns = [pa.array(column, pa.string()).take(pa.array(rows)) for column in zip(*self._keys, strict=True)]
        columns = columns or [pa.array([], pa.string())] * len(_KEYS)
        return pa.table(columns + [self._column(name, kind) for name, kind in _VALUES.items()], schema=COMPONENTS)

    def _add(self, keys: dict[str, str], side: str, parts: Components, **values: np.ndarray) -> None:
        if len(parts):
            boxes = dict(zip(("x", "y", "width", "height"), parts.boxes.T, strict=True))
            self._keys.append((*(keys[name] for name in _KEYS[:-1]), side))
            self._blocks.append({"index": np.arange(len(parts)), "area": parts.areas, **boxes, **values})
        if len(self._blocks) == HELD:
            self._tables.append(self._waiting().combine_chunks())
            self._keys, self._blocks = [], []

    def _column(self, name: str, kind: pa.DataType) -> pa.ChunkedArray:
        blocks = [
            pa.array(block[name], kind, from_pandas=True) if name in block else pa.nulls(len(block["area"]), kind)
            for block in self._blocks
        ]
        return pa.chunked_array(blocks, kind)

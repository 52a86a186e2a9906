"""Records of every image, counted in one pass over the predictions; all metrics follow from them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from defectbench.config.base import MERGED
from defectbench.config.score import ScoreSettings
from defectbench.evaluation import policies
from defectbench.evaluation.calibration import Calibration
from defectbench.evaluation.component_records import HELD, ComponentRecords
from defectbench.evaluation.truth import (
    EvaluationError,
    HeldOutData,
    Sample,
    ValidationData,
    ids_sha256,
    merge_maps,
    merge_masks,
)
from defectbench.files import atomic
from defectbench.metrics.codes import N_BINS
from defectbench.metrics.component_sweep import CUTS, THRESHOLDS, sweep_components
from defectbench.metrics.counts import confusion
from defectbench.metrics.histograms import coarsen, full_histogram
from defectbench.metrics.shape import Shapes
from defectbench.metrics.shape_metrics import SHAPE_METRICS, count_shapes

_PIXELS = pa.int64()
PER_IMAGE = pa.schema(
    [
        ("role", pa.string()),  # val or test
        ("image_id", pa.string()),
        ("group", pa.string()),  # images of one picture or strip
        ("class", pa.string()),  # "merged", and each class of a model that predicts classes
        ("policy", pa.string()),  # calibrated, at_0.5, post_processed or imposed
        ("n_pixels", _PIXELS),
        ("n_truth", _PIXELS),
        ("max_code", pa.uint16()),  # highest code of the map: the defect score of the image
        ("tp", _PIXELS),
        ("fp", _PIXELS),
        ("fn", _PIXELS),
        *((column, pa.type_for_alias(metric.dtype)) for metric in SHAPE_METRICS.values() for column in metric.columns),
    ]
)
_BINS = pa.list_(pa.int32(), N_BINS)
HISTOGRAMS = pa.schema(
    [
        ("role", pa.string()),
        ("image_id", pa.string()),
        ("class", pa.string()),
        ("positive", _BINS),  # pixels whose truth is positive, per threshold bin
        ("negative", _BINS),
    ]
)
POOLED = pa.schema(
    [
        ("role", pa.string()),
        ("class", pa.string()),
        ("code", pa.uint16()),  # only codes that occur
        ("positive", _PIXELS),  # pixels of all images of the role
        ("negative", _PIXELS),
    ]
)
FROC = pa.schema(
    [
        ("role", pa.string()),
        ("class", pa.string()),
        ("threshold", pa.float64()),  # logit from which a pixel belongs to a component
        ("score", pa.float64()),  # highest value of CUTS that the component's highest logit reaches
        ("predicted", _PIXELS),  # components of all images of the role; pairs without any have no row
        ("found", _PIXELS),  # those that match a true one
    ]
)


@dataclass(frozen=True)
class Scores:
    """The records of val and test images."""

    per_image: pa.Table
    histograms: pa.Table
    pooled: pa.Table
    components: pa.Table
    froc: pa.Table

    def write(self, per_image: Path, histograms: Path, pooled: Path, components: Path, froc: Path) -> None:
        """Write the five tables as Parquet, each atomically."""
        tables = (self.per_image, self.histograms, self.pooled, self.components, self.froc)
        for path, table in zip((per_image, histograms, pooled, components, froc), tables, strict=True):
            with atomic(path) as temporary:
                pq.write_table(table, temporary, compression="zstd")


def score(val: ValidationData, test: HeldOutData, calibration: Calibration, settings: ScoreSettings) -> Scores:
    """Count every image of both roles by each policy: calibrated, at p = 0.5, post-processed, imposed.

    Each file is streamed once. The merged mask is the union of the class masks, each at its own threshold and with its
    own post-processing; the merged map the maximum over the classes; the merged truth the union of the classes.
    Components are matched as ``settings`` say.

    Raises:
        EvaluationError: if val, test and calibration are not of one model and one split.
    """
    _check_one_model(val, test, calibration)
    rows: list[dict[str, Any]] = []
    tables, histograms, components = [], [], ComponentRecords(settings.match_iou)
    pooled: dict[tuple[str, str], np.ndarray] = {}
    swept: dict[tuple[str, str], np.ndarray] = {}
    for data in (val, test):
        for sample in data:
            shapes = Shapes()
            rows += _count(data.role, sample, calibration, components, shapes)
            if len(rows) >= HELD:
                tables.append(pa.Table.from_pylist(rows, schema=PER_IMAGE))
                rows = []
            for name, full, counted in _count_scores(sample, shapes, settings):
                pooled.setdefault((data.role, name), np.zeros(full.shape, np.int64))
                pooled[data.role, name] += full
                negative, positive = coarsen(full)
                histograms.append((data.role, sample.image_id, name, positive, negative))
                swept[data.role, name] = swept.get((data.role, name), 0) + counted
            del sample  # not kept beside the next one
    return Scores(
        per_image=pa.concat_tables([*tables, pa.Table.from_pylist(rows, schema=PER_IMAGE)]),
        histograms=pa.table([list(column) for column in zip(*histograms, strict=True)], schema=HISTOGRAMS),
        pooled=pa.concat_tables(_pooled_table(*key, histogram) for key, histogram in pooled.items()),
        components=components.table(),
        froc=pa.concat_tables(_froc_table(*key, counted) for key, counted in swept.items()),
    )


def _count_scores(
    sample: Sample, shapes: Shapes, settings: ScoreSettings
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield name, full histogram (2, 65536) and swept components (2, T, S) of the layers of one image."""
    for name, codes, truth in _layers(sample, sample.codes, merge_maps(sample.codes)):
        swept = sweep_components(codes, shapes.of(truth).components, settings.match_iou)
        yield name, full_histogram(codes, truth, sample.n_ignored), np.stack(swept)


def _froc_table(role: str, name: str, counted: np.ndarray) -> pa.Table:
    """Rows of the pairs of threshold and score that some of ``counted`` (2, T, S) components have."""
    threshold, score = np.nonzero(counted[0])
    keys = [role] * len(score), [name] * len(score), np.array(THRESHOLDS, float)[threshold], CUTS[score]
    return pa.table([*keys, *counted[:, threshold, score]], schema=FROC)


def _check_one_model(val: ValidationData, test: HeldOutData, calibration: Calibration) -> None:
    if replace(val.header, role="test") != test.header:
        raise EvaluationError(f"val and test predictions are not of one model: {val.header}, {test.header}")
    if (tuple(calibration.thresholds), calibration.has_scores) != (val.header.classes, val.header.has_scores):
        raise EvaluationError(
            f"calibrated for {tuple(calibration.thresholds)}, predicted {val.header}: calibrate again"
        )
    if calibration.val_ids_sha256 != ids_sha256(val.ids):
        raise EvaluationError("the thresholds were calibrated on other val images than the split's: calibrate again")


def _count(
    role: str, sample: Sample, calibration: Calibration, components: ComponentRecords, shapes: Shapes
) -> Iterator[dict[str, Any]]:
    """Yield the rows of per_image.parquet of one image, and add its components to the records."""
    maps = {name: codes for name, codes, _ in _layers(sample, sample.codes, merge_maps(sample.codes))}
    max_codes = {name: int(codes.max()) for name, codes in maps.items()}
    for policy, masks in policies.iterate_masks(sample.codes, calibration, sample.image, sample.ignored):
        for name, prediction, truth in _layers(sample, masks, merge_masks(masks)):
            tp, fp, fn = confusion(truth, prediction)
            keys = {"role": role, "image_id": sample.image_id, "group": sample.group, "class": name, "policy": policy}
            sides = shapes.of(prediction), shapes.of(truth)
            components.add(keys, *sides, maps[name])
            image = {"n_pixels": sample.n_pixels, "n_truth": tp + fn, "max_code": max_codes[name]}
            yield keys | image | {"tp": tp, "fp": fp, "fn": fn} | count_shapes(*sides)


def _layers(sample: Sample, by_class: np.ndarray, merged: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (name, predicted, true) of the merged layer and, of a model that predicts classes, of each class."""
    yield MERGED, merged, merge_masks(sample.truth)
    if sample.classes != (MERGED,):
        yield from zip(sample.classes, by_class, sample.truth, strict=True)


def _pooled_table(role: str, name: str, histogram: np.ndarray) -> pa.Table:
    codes = np.flatnonzero(histogram.any(axis=0))
    negative, positive = histogram[:, codes]
    columns = [[role] * len(codes), [name] * len(codes), codes.astype(np.uint16), positive, negative]
    return pa.table(columns, schema=POOLED)

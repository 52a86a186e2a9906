"""Cards of experiments: metrics by policy and class, curves, cost and configuration."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from defectbench.evaluation.operating_points import LEAST_COST
from defectbench.metrics.histograms import sweep
from defectbench.reporting.numbers import (
    DASH,
    format_bytes,
    format_count,
    format_decimal,
    format_duration,
    format_milliseconds,
)
from defectbench.reporting.records import Record
from defectbench.reporting.threshold_noise import describe_ranges

METRICS = (
    "dice_all",
    "dice_skill",
    "test_mIoU",
    "test_Dice",
    "IoU@50",
    "IoU@75",
    "IoU@90",
    "IoU@95",
    "Precision",
    "Recall",
    "F1",
    "iou_dataset",
    "boundary_f1",
    "cldice",
    "fp_image_rate",
    "component_recall",
    "false_components",
    "recall_at_fp_1",
    "image_auroc",
    "image_ap",
    "image_F1",
    "dice_kaggle",
)
POLICIES = {
    "": "headline",
    "_at_0.5": "p = 0.5",
    "_calibrated": "calibrated",
    "_pp": "post-processed",
    "_imposed": "imposed",
}
OF_ZERO_SHOT = {suffix: f"{POLICIES[suffix]} with val labels" for suffix in ("_calibrated", "_pp")}
"""Titles of what owes something to val labels, where the headline does not"""
_MOST_POINTS = 64  # enough for a small picture
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """A small line chart: curves by name, and the ranges of the axes."""

    title: str
    x_label: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    curves: dict[str, Points]


@dataclass(frozen=True)
class Card:
    """Contents of a card; tables are rows of texts under a header."""

    facts: list[tuple[str, str]]
    metrics: list[list[str]]
    classes: list[list[str]]
    inspection: list[list[str]]
    """operating points"""
    charts: list[Chart]
    settings: list[tuple[str, str]]
    weights: list[tuple[str, str]]


def experiment_card(record: Record, points: pd.DataFrame) -> Card:
    """Collect the contents of the card of ``record``; ``points`` are the rows of operating_points.csv."""
    return Card(
        facts=[(name, value) for name, value in _facts(record) if value],
        metrics=_metrics(record.metrics),
        classes=list(_classes(record.metrics)),
        inspection=list(_inspection(points[points["exp_id"] == record.exp_id])),
        charts=[chart for chart in (_training(record), *_curves(record)) if chart is not None],
        settings=[(key, _plain(value)) for key, value in (record.run.get("settings") or {}).items()],
        weights=[(name, _plain(record.row[name])) for name in ("weights_source", "weights_sha256", "ckpt_path")],
    )


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    row = record.row
    yield "labelled training images", format_count(row["n_labels_train"])
    yield "threshold", format_decimal(row["threshold"]) if row["threshold"] is not None else ""
    yield "threshold on resampled val images, 95 %", "; ".join(describe_ranges(record))
    yield "parameters", format_count(row["params_total"])
    yield "of these trained", format_count(row["params_trainable"])
    yield "weights file", format_bytes(row["weights_bytes"])
    yield "training", format_duration(row["train_seconds"])
    yield "averaged weights", "" if row["ema"] is None else _describe_average(row["ema"])
    yield "arithmetic of training", row["train_precision"] or ""
    yield "device of training", row["train_device"] or ""
    yield "peak memory of training", format_bytes(row["peak_memory_train_bytes"])
    yield "prediction, mean", format_milliseconds(row["avg_inference_time"])
    of_milliseconds = {
        "of this the prompting stage": "infer_ms_stage1",
        "of this the prompted stage": "infer_ms_stage2",
        "prediction, 95th percentile": "infer_ms_p95",
    }
    for name, key in of_milliseconds.items():
        yield name, "" if row[key] is None else format_milliseconds(row[key] / 1000)
    yield "peak memory of prediction", format_bytes(row["peak_memory_infer_bytes"])
    yield "device of prediction", row["device"] or ""
    yield "training ended", row["timestamp"] or ""
    yield (
        "prompts",
        "" if row["prompt_type"] in (None, "none") else f"{row['prompt_type']} ({row['prompt_source_name']})",
    )


def _describe_average(decay: float) -> str:
    return f"exponential moving average, decay {decay:g}" if decay else "no"


def _metrics(metrics: dict[str, Any]) -> list[list[str]]:
    suffixes = [suffix for suffix in POLICIES if any(metrics.get(f"{name}{suffix}") is not None for name in METRICS)]
    titles = POLICIES | (OF_ZERO_SHOT if metrics["zero_shot"] else {})
    rows = [["metric", *(titles[suffix] for suffix in suffixes)]]
    for name in METRICS:
        values = [metrics.get(f"{name}{suffix}") for suffix in suffixes]
        if any(value is not None for value in values):
            rows.append([name, *map(format_decimal, values)])
    return rows


def _classes(metrics: dict[str, Any]) -> Iterator[list[str]]:
    columns = ("test_mIoU", "test_Dice", "Precision", "Recall", "AUPRC")
    if metrics["per_class"]:
        yield ["class", "defective", *(name.removeprefix("test_") for name in columns)]
    for name, values in metrics["per_class"].items():
        yield [
            name,
            format_count(values["n_test_defective"]),
            *(format_decimal(values.get(metric)) for metric in columns),
        ]


def _inspection(points: pd.DataFrame) -> Iterator[list[str]]:
    """Rates on test images at the thresholds of their highest p that val chose."""
    if points.empty:
        return
    costs = ["cost of 1,000 images"] if points["cost"].notna().any() else []
    yield ["chosen on val", "p of the image from", "overkill [95 %]", "escape [95 %]", *costs]
    for row in points.to_dict("records"):
        percent = row["point"].removeprefix("escape_")
        name = "least cost" if row["point"] == LEAST_COST else f"at most {percent} % escape"
        rates = [f"{row[r]:.3f} [{row[f'{r}_lo']:.3f}, {row[f'{r}_hi']:.3f}]" for r in ("overkill", "escape")]
        rates += [f"{row['cost']:,.0f}"] if costs else []
        if row["supported"]:
            yield [name, f"{row['threshold']:.5g}", *rates]
        else:
            yield [name, "too few defective val images", *[DASH] * len(rates)]


def _training(record: Record) -> Chart | None:
    history = record.history
    scores = {"mIoU": "val_iou_fixed", "mean Dice": "val_dice_fixed"}
    names = {name: key for name, key in scores.items() if key in history and history[key].notna().any()}
    if not names or len(history) < 2:
        return None
    x = next(name for name in ("step", "epoch") if name in history)
    curves = {name: _points(history[x], history[key]) for name, key in names.items()}
    return Chart("Val images during training, p = 0.5", x, (0.0, float(history[x].max())), (0.0, 1.0), curves)


def _curves(record: Record) -> Iterator[Chart]:
    if not record.metrics["has_scores"]:
        return
    tp, fp, fn = (counts.astype(float) for counts in sweep(record.histogram()))
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall, f1 = tp / (tp + fp), tp / (tp + fn), 2 * tp / (2 * tp + fp + fn)
    curves = {"precision": _points(recall, precision)}
    yield Chart("Precision against recall, test pixels", "recall", (0.0, 1.0), (0.0, 1.0), curves)
    p = np.arange(1, 256) / 256
    curves = {"F1": _points(p, f1), "precision": _points(p, precision), "recall": _points(p, recall)}
    yield Chart("Test pixels against the threshold", "threshold p", (0.0, 1.0), (0.0, 1.0), curves)


def _points(xs: ArrayLike, ys: ArrayLike) -> Points:
    """At most _MOST_POINTS points, evenly spaced in their order, without undefined ones."""
    x, y = np.asarray(xs, float), np.asarray(ys, float)
    defined = np.isfinite(x) & np.isfinite(y)
    x, y = x[defined], y[defined]
    if not len(x):
        return []
    indices = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).round().astype(int))
    return [(float(x[i]), float(y[i])) for i in indices]


def _plain(value: Any) -> str:
    return "–" if value is None or value == "" else str(value)

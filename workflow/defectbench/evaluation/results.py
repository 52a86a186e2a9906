"""Consolidation of experiments: results.csv, one row each, from the files of their folders alone."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from defectbench.config.report import NO_NAMES, NamesSettings, ResultsSettings
from defectbench.data.tables import csv_text
from defectbench.evaluation.image_scores import METRICS, read_image_scores
from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.evaluation.metric_intervals import WITH_INTERVAL, metric_intervals
from defectbench.files import atomic, read_json, write_text
from defectbench.metrics.component_metrics import RECALL_AT_FP
from defectbench.metrics.image_level import IMAGE_RANKING, OPERATING_RATES
from defectbench.metrics.names import all_names, full_name
from defectbench.script import UserError
from defectbench.training.outcome import advise

BETWEEN_FOLDS = ("dice_all", "mIoU")
SAME_WITHIN_A_TRACK = ("test_ids_sha256", "data_digest", "metric_version", "match_iou")

# The columns that users' own tables are built on: their names and order never change.
_FIRST = {
    "exp_id": "str",
    "model": "str",
    "subset_size": "str",
    "variant": "str",
    "prompt_type": "str",
    "img_size": "str",
    "batch_size": "Int64",
    "steps": "Int64",
    "lr": "float64",
    "wd": "float64",
    "seed": "Int64",
    "val_mIoU": "float64",
    "val_Dice": "float64",
    "test_mIoU": "float64",
    "test_Dice": "float64",
    "IoU@50": "float64",
    "IoU@75": "float64",
    "IoU@90": "float64",
    "IoU@95": "float64",
    "Precision": "float64",
    "Recall": "float64",
    "F1": "float64",
    "AUPRC": "float64",
    "avg_inference_time": "float64",
    "ckpt_path": "str",
    "timestamp": "str",
    "track": "str",
    "prompt_source": "str",
    "dice_all": "float64",
    "threshold": "float64",
}
_BOUNDS, _FURTHER_BOUNDS = (
    dict.fromkeys((f"{metric}_{end}" for metric in metrics for end in ("lo", "hi")), "float64")
    for metrics in (METRICS, [metric for metric in WITH_INTERVAL if metric not in METRICS])
)
_AT_CLEAN_SHARE = dict.fromkeys(("dice_at_clean_share", "dice_at_clean_share_lo", "dice_at_clean_share_hi"), "float64")
_OVER_THRESHOLDS = [full_name(name, role) for role in ("test", "val") for name in (*RECALL_AT_FP, *IMAGE_RANKING)]
_METRICS = dict.fromkeys(
    (
        *all_names("test"),
        *all_names("val", suffixes=("",)),
        *_OVER_THRESHOLDS,
        *OPERATING_RATES,
        "val_AUPRC",
        "prevalence",
    ),
    "float64",
)
_LAST = {
    "n_pixels": "Int64",
    "n_pixels_ignored": "Int64",
    "thresholds": "str",
    "used_val_labels": "boolean",
    "images_seen": "Int64",
    "ema": "float64",
    "train_precision": "str",
    "n_labels_train": "Int64",
    "n_labels_val": "Int64",
    "params_total": "Int64",
    "params_trainable": "Int64",
    "weights_bytes": "Int64",
    "train_seconds": "float64",
    "infer_seconds_total": "float64",
    "infer_ms_p50": "float64",
    "infer_ms_p95": "float64",
    "peak_memory_train_bytes": "Int64",
    "peak_memory_infer_bytes": "Int64",
    "weights_source": "str",
    "weights_sha256": "str",
    "n_test": "Int64",
    "n_test_defective": "Int64",
    "n_val": "Int64",
    "test_ids_sha256": "str",
    "data_digest": "str",
    "code_digest": "str",
    "metric_version": "Int64",
    "device": "str",
    "train_device": "str",
    "dataset": "str",
    "family": "str",
    "policy": "str",
    "experiment": "str",
    "unabridged_id": "str",
    "prompt_source_name": "str",
    "n_test_groups": "Int64",
    "segmenter": "str",
    "prompt_noise": "float64",
    "infer_ms_stage1": "float64",
    "infer_ms_stage2": "float64",
    "load": "float64",
    "cv_folds": "Int64",
    **dict.fromkeys((f"cv_{metric}_{part}" for metric in BETWEEN_FOLDS for part in ("mean", "sd")), "float64"),
    "match_iou": "float64",
    "post_processing": "str",
    "searched": "str",
    "notes": "str",
    "problems": "str",
    "clean_share": "float64",
    **_FURTHER_BOUNDS,
}
# Columns of the same name in settings, run.json and timing.json; of metrics.json, all are columns.
_OF_SETTINGS = ("batch_size", "lr", "wd", "ema")
_OF_RUN = (
    "steps",
    "images_seen",
    "n_labels_train",
    "n_labels_val",
    "params_total",
    "params_trainable",
    "weights_bytes",
    "train_seconds",
    "peak_memory_train_bytes",
    "weights_source",
    "weights_sha256",
    "code_digest",
    "segmenter",
    "prompt_noise",
)
_OF_TIMING = (
    "avg_inference_time",
    "infer_seconds_total",
    "infer_ms_p50",
    "infer_ms_p95",
    "peak_memory_infer_bytes",
    "infer_ms_stage1",
    "infer_ms_stage2",
    "device",
    "load",
)
_NAMES = {"name": "str"}
COLUMNS = _FIRST | {
    name: kind for name, kind in (_BOUNDS | _NAMES | _METRICS | _LAST | _AT_CLEAN_SHARE).items() if name not in _FIRST
}


class ResultsError(UserError):
    """Experiments that cannot be in one table."""


def consolidate(settings: ResultsSettings, names: NamesSettings = NO_NAMES) -> pd.DataFrame:
    """Build the results table: a row per experiment in the order of ``settings``, the columns of COLUMNS.

    An experiment without a name in ``names`` has its id as its name.

    Raises:
        ResultsError: if a file is missing, an experiment comes twice, files of one are not of the same run, or
            experiments of one track were scored on different test images, data or metric definitions.
    """
    rows = [_row(folder, settings) for folder in settings.experiments]
    rows = [row | _names(row, names) for row in rows]
    ids = [row["exp_id"] for row in rows]
    repeated = sorted({exp_id for exp_id in ids if ids.count(exp_id) > 1})
    if repeated:
        raise ResultsError(f"listed more than once: {', '.join(repeated)}")
    table = pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=kind) for name, kind in COLUMNS.items()}
    )
    _check_comparable(table)
    return table


def write_results(table: pd.DataFrame, csv: Path, parquet: Path) -> None:
    """Write the table in both formats; a null is an empty field in the CSV."""
    write_text(csv, csv_text(table))
    with atomic(parquet) as temporary:
        table.to_parquet(temporary, index=False)


def _row(folder: Path, settings: ResultsSettings) -> dict[str, Any]:
    """Columns of one experiment; those that its files do not have are left out and become null."""
    run, timing, metrics, calibration = (
        _read(folder / f"{name}.json") for name in ("run", "timing", "metrics", "calibration")
    )
    if metrics["thresholds_calibrated"] != calibration["threshold"]:
        raise ResultsError(f"{folder}: metrics.json and calibration.json do not belong together: score again")
    scores = read_image_scores(folder, metrics["policy"])
    _check_one_run(folder, run, metrics, scores)
    return {
        **{name: (run.get("settings") or {}).get(name) for name in _OF_SETTINGS},
        **{name: run.get(name) for name in _OF_RUN},
        **{name: timing.get(name) for name in _OF_TIMING},
        **metrics,
        **run["experiment"],
        **(_between_folds(folder) if "n_folds" in run else {}),
        **_intervals(folder, scores, metrics, settings),
        "experiment": settings.experiment_of.get(run["experiment"]["exp_id"], run["experiment"]["exp_id"]),
        "subset_size": run["experiment"]["subset"],
        "ckpt_path": run.get("weights_path"),
        "timestamp": run.get("finished_at"),
        "thresholds": json.dumps(metrics["thresholds"]),
        "post_processing": _post_processing(metrics),
        "train_device": None if run.get("zero_shot") else run.get("device"),
        "train_precision": run.get("precision"),
        "notes": "; ".join(_notes(run, timing)) or None,
        "problems": "; ".join(_problems(run, metrics)) or None,
        "clean_share": settings.clean_share,
    }


def _names(row: dict[str, Any], names: NamesSettings) -> dict[str, str | None]:
    """Names of an experiment and of the source of its prompts, its id with all settings, what was found by a search."""
    exp_id, source = row["exp_id"], row["prompt_source"]
    return {
        "name": names.name_of(exp_id),
        "unabridged_id": names.unabridged_ids.get(exp_id, exp_id),
        "prompt_source_name": names.name_of(source),
        "searched": names.searched.get(exp_id),
    }


def _check_one_run(folder: Path, run: dict[str, Any], metrics: dict[str, Any], scores: pd.DataFrame) -> None:
    """Refuse metrics of other data than the model was trained on, or of other scores of images."""
    trained, scored = run.get("data_digest"), metrics.get("data_digest")
    if trained and scored and trained != scored:
        raise ResultsError(
            f"{folder}: run.json is of data {trained[:12]}, metrics.json of {scored[:12]}: images or labels have "
            "changed in between; train, predict and score again"
        )
    for metric in METRICS:
        if metrics[metric] is not None and not np.isclose(scores[metric].mean(), metrics[metric], rtol=1e-9, atol=1e-9):
            raise ResultsError(
                f"{folder}: {metric} is {metrics[metric]:.6f} in metrics.json, {scores[metric].mean():.6f} in "
                "per_image.parquet: they are not of the same scoring; score again"
            )


def _post_processing(metrics: dict[str, Any]) -> str | None:
    """The chosen steps as JSON, by class; None if all of them are 'none'."""
    steps = metrics["post_processing"]
    return json.dumps(steps) if set(steps.values()) - {"none"} else None


def _notes(run: dict[str, Any], timing: dict[str, Any]) -> list[str]:
    notes = list(run.get("notes") or [])
    if (parts := run.get("batch_parts") or 1) > 1:
        notes.append(f"batches in {parts} parts with accumulated gradients: whole ones did not fit into memory")
    if (load := timing.get("load") or 0) > 1:
        notes.append(f"timed while other work ran (load {load:.1f} per CPU): its times are too long")
    return notes


def _problems(run: dict[str, Any], metrics: dict[str, Any]) -> list[str]:
    """What shows that a model has not learned; predicting nothing is what some reference methods are for."""
    problems = list(run.get("problems") or [])
    # Precision is not defined where no pixel is predicted.
    if metrics["Precision"] is None and run["experiment"]["track"] != "reference":
        problems.append(f"no pixel of any test image is predicted. {advise(run.get('settings') or {})}")
    return problems


def _between_folds(folder: Path) -> dict[str, Any]:
    """Mean and standard deviation of the folds' metrics, at thresholds chosen on the other folds."""
    cv = _read(folder / "cv.json")
    parts = {f"cv_{metric}_{part}": cv[part][metric] for metric in BETWEEN_FOLDS for part in ("mean", "sd")}
    return {"cv_folds": cv["n_folds"], **parts}


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except FileNotFoundError:
        raise ResultsError(f"{path}: no such file; is the experiment finished?") from None


def _intervals(
    folder: Path, scores: pd.DataFrame, metrics: dict[str, Any], settings: ResultsSettings
) -> dict[str, float]:
    """Bounds of the metrics that have an interval, and the number of groups of images."""
    bootstrap = GroupBootstrap(scores["group"].to_numpy(str), settings.bootstrap_draws, settings.bootstrap_seed)
    intervals = {"n_test_groups": bootstrap.n_groups, **metric_intervals(folder, metrics, scores, bootstrap)}
    if settings.clean_share is not None and metrics["dice_all"] is not None:
        values = dice_at_clean_share(scores, bootstrap, settings.clean_share)
        intervals |= dict(zip(_AT_CLEAN_SHARE, values, strict=True))
    return intervals


def dice_at_clean_share(
    scores: pd.DataFrame, bootstrap: GroupBootstrap, clean_share: float
) -> tuple[float, float, float]:
    """dice_all, and its bounds, if ``clean_share`` of the images were clean; NaN without images of either kind.

    The means over clean and over defective images are weighted by their shares. Their distances from the bounds add up
    as squares (Zou and Donner, Statistics in Medicine 27, 2008).
    """
    defective = scores["test_Dice"].notna().to_numpy()
    dice = scores["dice_all"].to_numpy()
    mean, low, high = 0.0, 0.0, 0.0
    for of_kind, share in ((~defective, clean_share), (defective, 1 - clean_share)):
        values = np.where(of_kind, dice, np.nan)
        if not of_kind.any():
            return np.nan, np.nan, np.nan
        mean_of_kind, (first, last) = np.nanmean(values), bootstrap.interval(values)
        mean += share * float(mean_of_kind)
        low = math.hypot(low, share * (mean_of_kind - first))
        high = math.hypot(high, share * (last - mean_of_kind))
    return float(mean), float(max(mean - low, 0)), float(min(mean + high, 1))


def _check_comparable(table: pd.DataFrame) -> None:
    for track, rows in table.groupby("track", sort=False):
        for column in SAME_WITHIN_A_TRACK:
            ids_of = rows.groupby(column, sort=False)["exp_id"].agg(list)
            if len(ids_of) > 1:
                sides = "\n".join(f"  {value}: {', '.join(ids)}" for value, ids in ids_of.items())
                raise ResultsError(
                    f"{track} track: experiments with different {column} cannot be compared:\n{sides}\n"
                    "Score them again on the same data with the same version and settings, or leave some out."
                )

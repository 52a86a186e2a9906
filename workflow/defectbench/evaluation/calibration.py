"""The choice of thresholds, on validation images only."""

from dataclasses import dataclass

import numpy as np

from defectbench.config.calibrate import CalibrateSettings
from defectbench.evaluation.truth import ValidationData, ids_sha256
from defectbench.metrics import counts
from defectbench.metrics.codes import N_BINS
from defectbench.metrics.histograms import joint_histogram, sweep

HALF_K = N_BINS // 2


@dataclass(frozen=True)
class Calibration:
    """calibration.json. All dictionaries go by class ("merged" for a map of any defect)."""

    role: str
    objective: str
    has_scores: bool
    used_val_labels: bool
    n_images: int
    val_ids_sha256: str
    thresholds: dict[str, int]
    """k: a pixel is predicted where p ≥ k/256"""
    threshold: dict[str, float]
    """the same as p"""
    value: dict[str, float | None]
    """the objective at the chosen k; None where it is not defined, so that k stays 128"""
    value_at_half: dict[str, float | None]
    """the objective at p = 0.5"""
    curve: dict[str, list[float | None]]
    """the objective at k = 1 ... 255"""


def calibrate(data: ValidationData, settings: CalibrateSettings) -> Calibration:
    """Choose for each class the threshold k/256, k = 1 ... 255, with the highest objective over all val images.

    Ties go to the candidate nearest to 0.5. Methods without scores keep 0.5: to them a threshold means nothing.
    """
    if not isinstance(data, ValidationData):
        raise TypeError(f"thresholds are chosen on ValidationData only, not on {type(data).__name__}")
    classes = data.header.classes
    curves = dict(zip(classes, objective_curves(data, settings.objective), strict=True))
    chosen = {name: best_candidate(curve) if data.header.has_scores else HALF_K for name, curve in curves.items()}
    values = {name: [None if np.isnan(v) else float(v) for v in curve] for name, curve in curves.items()}
    return Calibration(
        role=data.role,
        objective=settings.objective,
        has_scores=data.header.has_scores,
        used_val_labels=data.header.has_scores,
        n_images=len(data.ids),
        val_ids_sha256=ids_sha256(data.ids),
        thresholds=chosen,
        threshold={name: k / N_BINS for name, k in chosen.items()},
        value={name: values[name][k - 1] for name, k in chosen.items()},
        value_at_half={name: values[name][HALF_K - 1] for name in classes},
        curve=values,
    )


def objective_curves(data: ValidationData, name: str) -> np.ndarray:
    """The objective of each class at every candidate, (C, 255), from one pass over the maps; NaN if not defined."""
    histograms, n_pixels = [], []
    for sample in data:
        maps = zip(sample.codes, sample.truth, strict=True)
        histograms.append([joint_histogram(codes, truth).astype(np.int32) for codes, truth in maps])
        n_pixels.append(sample.truth[0].size)
    by_class = np.stack(histograms, axis=1)
    return np.stack([objective(name, *sweep(images), np.array(n_pixels)) for images in by_class])


def objective(name: str, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, n_pixels: np.ndarray) -> np.ndarray:
    """What a threshold maximises, of counts (N, ...) of N images with ``n_pixels`` (N,) pixels; result (...).

    - ``dice_all``: mean Dice over all images, both empty = 1.
    - ``f1``: 2tp/(2tp+fp+fn) of the totals; NaN if no image is defective.
    - ``youden``: recall + specificity - 1 of the totals (W. J. Youden, Cancer 3, 1950); NaN without pixels of both
      kinds.
    """
    if name == "dice_all":
        return counts.dice(tp, fp, fn).mean(axis=0)
    tp, fp, fn = tp.sum(axis=0), fp.sum(axis=0), fn.sum(axis=0)
    if name == "f1":
        return np.where(tp + fn > 0, counts.f1(tp, fp, fn), np.nan)
    tn = n_pixels.sum() - tp - fp - fn
    return counts.recall(tp, fn) + counts.recall(tn, fp) - 1


def best_candidate(curve: np.ndarray) -> int:
    """The k with the highest value of ``curve`` (255,); of equals the nearest to 128; 128 if no value is defined."""
    if np.isnan(curve).all():
        return HALF_K
    best = np.flatnonzero(curve == np.nanmax(curve)) + 1
    return int(best[np.argmin(np.abs(best - HALF_K))])

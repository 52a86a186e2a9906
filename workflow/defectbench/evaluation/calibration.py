"""Calibration of thresholds and post-processing on validation images."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from defectbench.config.calibrate import CalibrateSettings, PostProcessingSettings
from defectbench.evaluation.calibration_noise import DRAWS, bootstrap_choice
from defectbench.evaluation.dense_crf import ImageCrfs
from defectbench.evaluation.objective import HALF_K, Objective
from defectbench.evaluation.postprocessing import Candidates, PostProcessing
from defectbench.evaluation.truth import ValidationData, ids_sha256
from defectbench.metrics.codes import N_BINS
from defectbench.metrics.histograms import joint_histogram, sweep


@dataclass(frozen=True)
class Calibration:
    """calibration.json. The keys of all dictionaries are classes, or MERGED for a map of any defect."""

    role: str
    objective: str
    recall: float | None
    """what ``recall_at_least`` asks for; None for other objectives"""
    has_scores: bool
    used_val_labels: bool
    """whether ``thresholds`` depend on val labels; ``post_processed`` always does"""
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
    noise_draws: int
    """resamples of the groups of val images in which threshold and objective were found again, with no
    post-processing"""
    threshold_range: dict[str, list[float] | None]
    """95 % range of p over the draws; None without scores, or if there is nothing to draw from"""
    value_range: dict[str, list[float] | None]
    """95 % range of the objective at the threshold of the same draw"""
    post_processed: dict[str, dict[str, Any]]
    """the chosen pipeline: ``k``, the fields of PostProcessing, and the objective; empty without post-processing"""
    candidates: dict[str, dict[str, float | None]]
    """the objective of every candidate pipeline, by its steps in words, none first; empty without post-processing"""
    imposed: dict[str, float] | None = None
    """``k`` and ``min_area`` that the study imposes on all classes, which owe nothing to the val images"""

    def pipeline(self, name: str) -> tuple[int, PostProcessing]:
        """k and the pipeline that were chosen for class ``name``."""
        record = self.post_processed[name]
        return record["k"], PostProcessing.read(record)

    def imposed_pipeline(self) -> tuple[int, PostProcessing]:
        """k and the pipeline that the study imposes on all classes."""
        assert self.imposed is not None
        return int(self.imposed["k"]), PostProcessing(min_area=self.imposed["min_area"])

    @property
    def maximised(self) -> Objective:
        """The objective as a function."""
        return Objective(self.objective, self.recall)


def calibrate(data: ValidationData, settings: CalibrateSettings) -> Calibration:
    """Choose for each class the threshold k/256, k = 1 ... 255, with the highest objective over all val images.

    Ties go to the candidate nearest to 0.5, by ``recall_at_least`` to the highest. Methods without scores keep 0.5: a
    threshold has no meaning for them. Then choose the post-processing at this threshold, by the same objective, in a
    second pass over the maps. How far other val images would have moved the threshold is recorded beside it.
    """
    _require_validation(data)
    classes = data.header.classes
    has_scores = data.header.has_scores
    objective = Objective(settings.objective, settings.active_recall)
    histograms, n_pixels, groups = _count_thresholds(data)
    terms = {
        name: objective.terms(*sweep(of_class), n_pixels) for name, of_class in zip(classes, histograms, strict=True)
    }
    curves = {name: objective.of_sums(of_class.sum(axis=1)) for name, of_class in terms.items()}
    thresholds = {name: objective.best_candidate(curve) if has_scores else HALF_K for name, curve in curves.items()}
    ranges = {
        name: bootstrap_choice(objective, of_class, groups) if has_scores else None for name, of_class in terms.items()
    }
    values = {name: _numbers(curve) for name, curve in curves.items()}
    imposed: dict[str, float] | None = None
    if settings.imposed is not None:
        imposed = {"k": _nearest_k(settings.imposed.threshold), "min_area": settings.imposed.min_area}
    post_processed: dict[str, dict[str, Any]] = {}
    candidates: dict[str, dict[str, float | None]] = {}
    if settings.post_processing is not None:
        post_processed, candidates = choose_post_processing(data, thresholds, objective, settings.post_processing)
    return Calibration(
        role=data.role,
        objective=objective.name,
        recall=objective.recall,
        has_scores=has_scores,
        used_val_labels=has_scores,
        n_images=len(data.ids),
        val_ids_sha256=ids_sha256(data.ids),
        thresholds=thresholds,
        threshold={name: k / N_BINS for name, k in thresholds.items()},
        value={name: values[name][k - 1] for name, k in thresholds.items()},
        value_at_half={name: values[name][HALF_K - 1] for name in classes},
        curve=values,
        noise_draws=DRAWS,
        threshold_range={n: found and [k / N_BINS for k in found.k] for n, found in ranges.items()},
        value_range={name: found and list(found.value) for name, found in ranges.items()},
        post_processed=post_processed,
        candidates=candidates,
        imposed=imposed,
    )


def _count_thresholds(data: ValidationData) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Histograms of each class and image, (C, N, 2, 256), the images' pixels (N,) and their groups, from one pass."""
    histograms, n_pixels, groups = [], [], []
    for sample in data:
        maps = zip(sample.codes, sample.truth, strict=True)
        histograms.append([joint_histogram(codes, truth, sample.n_ignored) for codes, truth in maps])
        n_pixels.append(sample.n_pixels)
        groups.append(sample.group)
        del sample, maps  # not kept beside the next one
    return np.stack(histograms, axis=1), np.array(n_pixels), groups


def choose_post_processing(
    data: ValidationData, thresholds: dict[str, int], objective: Objective, settings: PostProcessingSettings
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, float | None]]]:
    """Choose for each class the pipeline with the highest ``objective`` over all val images.

    No post-processing at the calibrated threshold is always a candidate. Ties go to the calibrated threshold, then to
    pipelines without a CRF, to the fewest steps, and to the smallest area and radii. Returns ``post_processed`` and
    ``candidates`` of Calibration.
    """
    _require_validation(data)
    search = Candidates(settings)
    candidate_ks = {
        c: _candidate_thresholds(k, settings) if data.header.has_scores else [k] for c, k in thresholds.items()
    }
    counted, n_pixels = _count_candidates(data, search, candidate_ks)
    post_processed: dict[str, dict[str, Any]] = {}
    candidates: dict[str, dict[str, float | None]] = {}
    for class_name, images in counted.items():
        tp, fp, fn = np.moveaxis(images.astype(np.int64), -1, 0)
        values = objective(tp, fp, fn, n_pixels)
        pipelines = [(k, steps) for k in candidate_ks[class_name] for steps in search.pipelines]
        best = best_pipeline(pipelines, values, thresholds[class_name])
        k, steps = pipelines[best]
        numbers = _numbers(values)
        post_processed[class_name] = {"k": k, **steps.record(), "value": numbers[best]}
        several = len(candidate_ks[class_name]) > 1
        words = [f"p >= {k / N_BINS:g}, {steps}" if several else str(steps) for k, steps in pipelines]
        candidates[class_name] = dict(zip(words, numbers, strict=True))
    return post_processed, candidates


def _count_candidates(
    data: ValidationData, search: Candidates, candidate_ks: dict[str, list[int]]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Counts tp, fp, fn of every image, threshold and pipeline, (N, K·P, 3) by class, and the images' pixels (N,)."""
    counted: dict[str, list[np.ndarray]] = {class_name: [] for class_name in candidate_ks}
    n_pixels = []
    for sample in data:
        crfs = ImageCrfs(sample.image)
        for class_name, codes, truth in zip(sample.classes, sample.codes, sample.truth, strict=True):
            by_threshold = [search.count(codes, k, truth, crfs, sample.ignored) for k in candidate_ks[class_name]]
            counted[class_name].append(np.concatenate(by_threshold).astype(np.int32))
        n_pixels.append(sample.n_pixels)
        del sample, crfs, codes, truth  # not kept beside the next one
    return {class_name: np.stack(images) for class_name, images in counted.items()}, np.array(n_pixels)


def best_pipeline(pipelines: list[tuple[int, PostProcessing]], values: np.ndarray, calibrated: int) -> int:
    """Index of the highest of ``values`` (P,), of equals the simplest: see :func:`choose_post_processing`."""

    def rank(index: int) -> tuple[float, ...]:
        k, steps = pipelines[index]
        effort = (
            abs(k - calibrated),
            steps.crf is not None,
            steps.n_steps,
            steps.min_area,
            steps.opening + steps.closing,
        )
        return -np.nan_to_num(values[index], nan=-np.inf), *effort

    return min(range(len(pipelines)), key=rank)


def _candidate_thresholds(calibrated: int, settings: PostProcessingSettings) -> list[int]:
    others = set(map(_nearest_k, settings.thresholds))
    return [calibrated, *sorted(others - {calibrated})]


def _nearest_k(p: float) -> int:
    return min(max(round(p * N_BINS), 1), N_BINS - 1)


def _require_validation(data: object) -> None:
    if not isinstance(data, ValidationData):
        raise TypeError(f"calibration takes ValidationData only, not {type(data).__name__}")


def _numbers(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]

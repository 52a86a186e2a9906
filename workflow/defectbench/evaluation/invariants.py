"""Invariants between metrics, whatever the model: a violation is a fault of the code or of a file."""

import warnings
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from defectbench.metrics.image_counts import ImageCounts
from defectbench.metrics.shape_metrics import SHAPE_METRICS
from defectbench.script import UserError

TOLERANCE = 1e-9


class InvariantError(UserError):
    """Metrics that contradict each other."""


class SuspiciousMetrics(UserWarning):
    """Metrics that may be correct but seldom are."""


def check_metrics(values: dict[str, float | None], images: ImageCounts, where: str) -> None:
    """Check the metrics (by the names of ``METRICS``) of one class at one policy against each other.

    Raises:
        InvariantError: naming the invariant, ``where`` (role, class and policy) and the numbers.
    """
    defined = _defined(values)
    if "mIoU" in defined:
        _check_macro(defined, where)
    _check_micro(defined, where)
    if not images.flagged.any():
        empty = float(np.mean(~images.defective))
        _require(_same(values["dice_all"], empty), "an all-empty submission scores the empty fraction", where, values)
    f = defined.get("F1", 0)
    if f > 0 and all(round(defined.get(name, np.nan), 3) == round(f, 3) for name in ("Precision", "Recall")):
        warnings.warn(f"{where}: Precision = Recall = F1 = {f:.3f} to three digits", SuspiciousMetrics, stacklevel=2)


def _check_macro(values: dict[str, float], where: str) -> None:
    miou, mdice = values["mIoU"], values["Dice"]
    shares = [values[f"IoU@{percent}"] for percent in (50, 75, 90, 95)]
    low = float(np.dot((0.5, 0.25, 0.15, 0.05), shares))
    high = 0.5 + float(np.dot((0.25, 0.15, 0.05, 0.05), shares))
    _require(_ordered(miou, mdice, 2 * miou / (1 + miou)), "mIoU <= mDice <= 2 mIoU/(1 + mIoU)", where, values)
    _require(_ordered(*reversed(shares)), "IoU@t does not rise with t", where, values)
    name = ".5 f50 + .25 f75 + .15 f90 + .05 f95 <= mIoU <= .5 + .25 f50 + .15 f75 + .05 f90 + .05 f95"
    _require(_ordered(low, miou, high), name, where, values)


def _check_micro(values: dict[str, float], where: str) -> None:
    iou, f1, p, r = (values.get(name) for name in ("iou_dataset", "F1", "Precision", "Recall"))
    _require((iou is None) == (f1 is None), "F1 and iou_dataset are defined together", where, values)
    if iou is not None:
        _require(_same(f1, 2 * iou / (1 + iou)), "F1 = 2 iou_dataset/(1 + iou_dataset)", where, values)
    if p is not None and r is not None:
        harmonic = 2 * p * r / (p + r) if p + r > 0 else 0.0
        _require(_same(f1, harmonic), "F1 = harmonic mean of Precision and Recall", where, values)


def check_shapes(values: dict[str, float | None], where: str) -> None:
    """Check the metrics of boundaries and centre lines against each other and against ``mIoU``.

    Raises:
        InvariantError: naming the invariant, ``where`` and the numbers.
    """
    miou = values["mIoU"]
    bound = {name: metric.at_miou for name, metric in SHAPE_METRICS.items() if metric.at_miou}
    numbers = {name: values[name] for name in ("mIoU", *bound)}
    _require(len({value is None for value in numbers.values()}) == 1, "defined together", where, numbers)
    for name, at_miou in bound.items():
        if miou is not None and miou in at_miou:
            _require(values[name] == at_miou[miou], f"{name} = {at_miou[miou]} where mIoU = {miou:g}", where, numbers)


def check_recalls(values: dict[str, float | None], where: str) -> None:
    """Check the ``recall_at_fp_*``, from the fewest false components up, against each other.

    Raises:
        InvariantError: naming the invariant, ``where`` and the numbers.
    """
    recalls = _defined(values)
    _require(_ordered(0, *recalls.values(), 1), "recall does not fall with the false components", where, recalls)


def check_objective(name: str, scored: dict[str, float | None], recorded: dict[str, float | None], where: str) -> None:
    """Check the objective that calibration has ``recorded`` against that of the ``scored`` val images.

    Both are by policy, from p = 0.5 over calibrated to post-processed: each chosen with the one before as a candidate.
    All are None where the objective is not defined.

    Raises:
        InvariantError: if the objective falls from one policy to the next, or is not what calibration.json says.
    """
    if set(scored.values()) == set(recorded.values()) == {None}:
        return
    for policy, value in scored.items():
        numbers = {policy: value, "calibration.json": recorded[policy]}
        _require(_same(value, recorded[policy]), f"{name} {policy} is what calibration.json says", where, numbers)
    _require(_ordered(*_defined(scored).values()), f"{name} does not fall: {' <= '.join(scored)}", where, scored)


def check_kaggle(score: float | None, classes: list[ImageCounts], where: str) -> None:
    """Check that an all-empty submission has the empty fraction as its ``dice_kaggle``.

    Raises:
        InvariantError: if it has another.
    """
    if classes and not any(images.flagged.any() for images in classes):
        empty = float(np.mean([~images.defective for images in classes]))
        name = "an all-empty submission scores the empty fraction"
        _require(_same(score, empty), name, where, {"dice_kaggle": score, "empty fraction": empty})


def _defined(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


def _require(holds: bool, invariant: str, where: str, values: Mapping[str, float | None]) -> None:
    if not holds:
        numbers = ", ".join(f"{key} = {value}" for key, value in values.items())
        raise InvariantError(f"{where}: this must hold, but does not: {invariant}; {numbers}")


def _ordered(*numbers: float) -> bool:
    """Whether ``numbers`` do not fall, up to rounding."""
    return all(a <= b + TOLERANCE for a, b in pairwise(numbers))


def _same(a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and abs(a - b) <= TOLERANCE

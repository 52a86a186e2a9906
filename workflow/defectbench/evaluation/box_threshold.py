"""Score threshold of a detector's boxes, chosen on val images."""

from dataclasses import dataclass

import numpy as np

from defectbench.config.base import MERGED
from defectbench.data.box_file import BoxPredictions
from defectbench.evaluation.detection import CORNERS, true_boxes
from defectbench.evaluation.objective import Objective
from defectbench.evaluation.truth import EvaluationError, Truth, ids_sha256
from defectbench.metrics.boxes import area_shares, box_iou
from defectbench.metrics.codes import N_BINS

MATCH_IOU = 0.5
_CANDIDATES = np.arange(1, N_BINS) / N_BINS


@dataclass(frozen=True)
class BoxThreshold:
    """threshold.json of a detector."""

    role: str
    threshold: float
    """a box counts if its score is at least this"""
    f1: float | None
    """F1 of the boxes there; None if the val images have no true box, so that the threshold is 0.5"""
    curve: list[float | None]
    """F1 at the scores k/256, k = 1 ... 255"""
    n_images: int
    n_boxes: int
    """true boxes"""
    val_ids_sha256: str


def choose_box_threshold(truth: Truth, predictions: BoxPredictions) -> BoxThreshold:
    """The score k/256 with the highest F1 of boxes over all val images; ties go to the one nearest to 0.5.

    A box is correct if it is matched with a true one of its class at IoU >= 0.5, one to one, by descending score. True
    boxes enclose the 8-connected parts of a class's mask, or of the union of all if the predictions are merged. A box
    without a match, half or more of which is ignored pixels, is not counted.

    Raises:
        EvaluationError: if the boxes are not of exactly the val images, or of other classes.
    """
    ids = truth.ids("val")
    if predictions.role != "val" or sorted(predictions.image_ids) != ids:
        raise EvaluationError(
            f"a threshold is chosen on the boxes of all {len(ids)} val images; these are of "
            f"{len(predictions.image_ids)} {predictions.role} images"
        )
    if predictions.classes not in ((MERGED,), truth.class_names):
        raise EvaluationError(f"the boxes are of {predictions.classes}, the manifest has {truth.class_names}")
    boxes_of = dict(list(predictions.boxes.groupby(["image_id", "class"])))
    scores, hits, n_true = [np.empty(0)], [np.empty(0, bool)], 0
    for image_id in ids:
        masks, ignored = truth.masks(image_id, predictions.classes), truth.ignored(image_id)
        for name, mask in zip(predictions.classes, masks, strict=True):
            true = true_boxes(mask).astype(float)
            true[:, 2:] += true[:, :2]
            n_true += len(true)
            if (image_id, name) in boxes_of:
                boxes = boxes_of[image_id, name].sort_values("score", ascending=False, kind="stable")
                corners = boxes[CORNERS].to_numpy()
                matched = match_boxes(corners, true)
                counted = matched | (ignored is None or area_shares(corners, ignored) < MATCH_IOU)
                scores.append(boxes["score"].to_numpy()[counted])
                hits.append(matched[counted])
    curve = f1_curve(np.concatenate(scores), np.concatenate(hits), n_true)
    k = Objective("f1").best_candidate(curve)
    values = [None if np.isnan(value) else float(value) for value in curve]
    return BoxThreshold("val", k / N_BINS, values[k - 1], values, len(ids), n_true, ids_sha256(ids))


def match_boxes(boxes: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Whether each of ``boxes`` (N, 4), highest scores first, matches one of ``true`` (M, 4): (N,) bool.

    Boxes are corners x0, y0, x1, y1. Each in turn takes the free true box with the highest IoU, if that is at least
    0.5. So a cut on the scores leaves the matches above it as they are.
    """
    iou = box_iou(boxes, true)
    hits = np.zeros(len(boxes), bool)
    for number in range(len(boxes) if len(true) else 0):
        best = int(iou[number].argmax())
        if iou[number, best] >= MATCH_IOU:
            hits[number] = True
            iou[:, best] = -1
    return hits


def f1_curve(scores: np.ndarray, hits: np.ndarray, n_true: int) -> np.ndarray:
    """F1 (255,) of the boxes with a score of at least k/256, of ``scores`` and ``hits`` (N,); NaN if none is true."""
    if n_true == 0:
        return np.full(len(_CANDIDATES), np.nan)
    counted = scores[:, None] >= _CANDIDATES
    n_predicted = counted.sum(axis=0)
    return 2 * (counted & hits[:, None]).sum(axis=0) / (n_predicted + n_true)

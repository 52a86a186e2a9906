"""Box metrics of detectors by pycocotools, and the table of detectors."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from defectbench.config.base import MERGED
from defectbench.config.report import NO_NAMES, NamesSettings
from defectbench.data.box_file import BoxPredictions
from defectbench.evaluation.truth import EvaluationError, Truth, ids_sha256
from defectbench.files import read_json
from defectbench.metrics.boxes import area_shares

CORNERS = ["x0", "y0", "x1", "y1"]
MAX_BOXES = 100
"""Boxes per image and class that COCO's average precision looks at, highest scores first."""
# Columns of detectors.csv by the file that they are taken from.
_COLUMNS = {
    "experiment": ("exp_id", "model", "subset", "variant", "prompt_type", "img_size", "seed", "track", "prompt_source"),
    "settings": ("task", "batch_size", "lr", "wd", "ema"),
    "metrics": ("val_mAP50", "val_mAP50_95", "test_mAP50", "test_mAP50_95", "n_val", "n_test", "n_test_boxes"),
    "timing": ("avg_inference_time", "infer_ms_p50", "infer_ms_p95", "peak_memory_infer_bytes", "device"),
    "run": (
        *("steps", "images_seen", "n_labels_train", "n_labels_val", "params_total", "params_trainable"),
        *("weights_bytes", "train_seconds", "peak_memory_train_bytes", "weights_source", "weights_sha256"),
        *("weights_path", "finished_at", "code_digest", "train_device", "searched", "notes"),
    ),
    "compared": ("test_ids_sha256", "data_digest"),
}


def true_boxes(mask: np.ndarray) -> np.ndarray:
    """Boxes of the 8-connected parts of ``mask``, (H, W) bool: (N, 4) int64 left, top, width, height."""
    stats = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)[2]
    return stats[1:, :4].astype(np.int64)  # the first is the background


def box_metrics(truth: Truth, predictions: BoxPredictions) -> dict[str, Any]:
    """mAP50 and mAP50_95 of one role, named with it, also ``per_class``, and the numbers of images and true boxes.

    A true object is an 8-connected part of a class's mask, or of the union of all if the predictions are merged.
    Average precision: Lin et al. 2014, 101 recall levels; mAP50_95 is the mean over IoU .50, .55, ... .95. None where
    there is no true box. Source: pycocotools, all sizes. Ignored pixels are a crowd: a box without a match is not
    counted if their share of it is at least the IoU that a match needs.

    Raises:
        EvaluationError: if the predictions are not of exactly this role's images, or of other classes.
    """
    role, classes = predictions.role, predictions.classes
    ids = truth.ids(role)
    if sorted(predictions.image_ids) != ids:
        raise EvaluationError(
            f"boxes of {len(predictions.image_ids)} images, which are not the {len(ids)} {role} images"
        )
    if classes not in ((MERGED,), truth.class_names):
        raise EvaluationError(f"the boxes are of {classes}, the manifest has {truth.class_names}")
    number = {image_id: index for index, image_id in enumerate(ids, start=1)}
    annotations: list[dict[str, Any]] = []
    for image_id in ids:
        ignored = truth.ignored(image_id)
        for category, mask in enumerate(truth.masks(image_id, classes), start=1):
            objects = [(box, 0) for box in true_boxes(mask).tolist()]
            if ignored is not None and ignored.any():
                objects.append(([0, 0, ignored.shape[1], ignored.shape[0]], 1))
            for box, iscrowd in objects:
                entry = {"image_id": number[image_id], "category_id": category, "bbox": box, "iscrowd": iscrowd}
                annotations.append(entry | {"id": len(annotations) + 1, "area": box[2] * box[3]})
    boxes = predictions.boxes
    corners = boxes[CORNERS].to_numpy()
    detections = np.column_stack(
        [
            boxes["image_id"].map(number),
            corners[:, :2],
            corners[:, 2:] - corners[:, :2],
            boxes["score"],
            boxes["class"].map({name: index for index, name in enumerate(classes, start=1)}),
        ]
    ).astype(np.float64)
    precision = _precision(truth, ids, classes, annotations, detections)
    per_class = {
        name: {f"{role}_mAP50": _mean(precision[0, :, k]), f"{role}_mAP50_95": _mean(precision[:, :, k])}
        for k, name in enumerate(classes)
    }
    return {
        f"{role}_mAP50": _mean(precision[0]),
        f"{role}_mAP50_95": _mean(precision),
        f"n_{role}": len(ids),
        f"n_{role}_boxes": sum(not annotation["iscrowd"] for annotation in annotations),
        f"{role}_ids_sha256": ids_sha256(ids),
        "per_class": per_class,
    }


class _Evaluation(COCOeval):
    """COCO's evaluation, in which a crowd is the ignored pixels of its image, and not its box."""

    def __init__(self, annotations: COCO, detections: COCO, truth: Truth, ids: Sequence[str]) -> None:
        """``ids`` are the images with the numbers 1, 2, … in ``annotations``."""
        super().__init__(annotations, detections, iouType="bbox")
        self._truth, self._ids = truth, ids

    def computeIoU(self, image: int, category: int) -> Any:  # noqa: N802
        """IoU of boxes, highest scores first, with true boxes, and share of each box that is ignored."""
        iou = super().computeIoU(image, category)
        crowds = [place for place, true in enumerate(self._gts[image, category]) if true["iscrowd"]]
        if len(iou) and crowds:
            ordered = sorted(self._dts[image, category], key=lambda box: -box["score"])[: len(iou)]
            corners = np.array([box["bbox"] for box in ordered])
            corners[:, 2:] += corners[:, :2]
            ignored = self._truth.ignored(self._ids[image - 1])
            assert ignored is not None, "its image has a crowd"
            iou[:, crowds] = area_shares(corners, ignored)[:, None]
        return iou


def _precision(
    truth: Truth,
    ids: Sequence[str],
    classes: tuple[str, ...],
    annotations: list[dict[str, Any]],
    detections: np.ndarray,
) -> np.ndarray:
    """Precision (IoU thresholds, recall levels, classes); -1 for a class without true boxes."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": index} for index in range(1, len(ids) + 1)],
            "categories": [{"id": index, "name": name} for index, name in enumerate(classes, start=1)],
            "annotations": annotations,
        }
        coco.createIndex()
        if not len(detections):
            found = {entry["category_id"] for entry in annotations if not entry["iscrowd"]}
            present = [index in found for index in range(1, len(classes) + 1)]
            return np.broadcast_to(np.where(present, 0.0, -1.0), (10, 101, len(classes)))
        evaluation = _Evaluation(coco, coco.loadRes(detections), truth, ids)
        evaluation.evaluate()
        evaluation.accumulate()
    # All sizes, MAX_BOXES boxes.
    return evaluation.eval["precision"][:, :, :, 0, -1]


def _mean(precision: np.ndarray) -> float | None:
    defined = precision[precision >= 0]
    return float(defined.mean()) if defined.size else None


def detectors_table(folders: list[Path], names: NamesSettings = NO_NAMES) -> pd.DataFrame:
    """A row per detector, from run.json, timing.json and metrics.json in its folder.

    A detector without a name in ``names`` has its id as its name.

    Raises:
        EvaluationError: if they were scored on different test images or data.
    """
    rows = []
    for folder in folders:
        run, timing, metrics = (read_json(folder / f"{name}.json") for name in ("run", "timing", "metrics"))
        run["searched"] = names.searched.get(run["experiment"]["exp_id"])
        run["notes"] = "; ".join([*run.get("notes", []), *run.get("problems", [])])
        run["train_device"] = run.get("device")
        sources = {"experiment": run["experiment"], "settings": run["settings"], "metrics": metrics, "timing": timing}
        sources |= {"run": run, "compared": metrics}
        rows.append({name: sources[source].get(name) for source, columns in _COLUMNS.items() for name in columns})
    table = pd.DataFrame(rows)
    table.insert(table.columns.get_loc("task"), "name", table["exp_id"].map(names.name_of))
    for name in _COLUMNS["compared"]:
        if table[name].nunique() > 1:
            raise EvaluationError(f"detectors with different {name} cannot be compared: score them on the same data")
    return table.rename(columns={"subset": "subset_size", "weights_path": "ckpt_path", "finished_at": "timestamp"})

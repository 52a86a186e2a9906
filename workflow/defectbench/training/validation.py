"""Metrics of an evaluation during training, from histograms and counts of images added one by one."""

from collections.abc import Sequence

import numpy as np

from defectbench.config.score import ScoreSettings
from defectbench.data.packing import IGNORED
from defectbench.metrics import counts, image_counts
from defectbench.metrics.codes import HALF, N_BINS
from defectbench.metrics.components import assign_clusters, find_components, highest_codes, match_components
from defectbench.metrics.froc import recall_at_fp
from defectbench.metrics.histograms import N_CODES, average_precision, coarsen, full_histogram, sweep
from defectbench.metrics.image_counts import ImageCounts

_AT_HALF = N_BINS // 2 - 1
_SCORE = ScoreSettings()


class Evaluation:
    """Scores of images added one by one, merged over the classes and, of a model with several maps, per class."""

    def __init__(self, classes: Sequence[str]) -> None:
        """``classes`` are the names of the maps; a model of one map has no metrics per class."""
        self.classes = tuple(classes) if len(classes) > 1 else ()
        self._pooled = np.zeros((2, N_CODES), np.int64)
        self._histograms: list[np.ndarray] = []
        self._components = ComponentHits()
        self._counts: dict[str, list[tuple[int, int, int, int]]] = {name: [] for name in self.classes}

    def add(self, codes: np.ndarray, truth: np.ndarray) -> None:
        """Add one image: ``codes`` (C, H, W) uint16 and true masks of the same shape, 0, 1 and IGNORED."""
        codes, truth, n_ignored = leave_out_ignored(codes, truth)
        merged, mask = codes.max(axis=0), truth.max(axis=0)
        full = full_histogram(merged, mask, n_ignored)
        self._components.add(merged, mask)
        self._pooled += full
        self._histograms.append(coarsen(full))
        for name, plane, mask in zip(self.classes, codes, truth, strict=bool(self.classes)):
            self._counts[name].append((*counts.confusion(mask, plane >= HALF), mask.size - n_ignored))

    def metrics(self) -> dict[str, float | None]:
        """Columns of history.csv, None if undefined.

        ``_fixed`` and all names without a suffix are at p = 0.5; ``_opt`` at opt_threshold_dice, the candidate
        p = k/256 with the highest mean Dice over defective images; opt_threshold_f1 has the highest F1 of all pixels.
        """
        tp, fp, fn = sweep(np.stack(self._histograms))
        n_pixels = np.stack(self._histograms).sum(axis=(1, 2))

        def at(k: int) -> ImageCounts:
            return ImageCounts(tp[:, k], fp[:, k], fn[:, k], n_pixels)

        fixed = at(_AT_HALF)
        best_f1 = int(np.argmax(counts.dice(tp.sum(axis=0), fp.sum(axis=0), fn.sum(axis=0))))
        defective = fixed.defective
        mean_dice = counts.dice(tp[defective], fp[defective], fn[defective]).sum(axis=0)
        best_dice = int(np.argmax(mean_dice))
        dice = fixed.dice()
        metrics = {
            "val_iou_fixed": image_counts.mean_iou(fixed),
            "val_dice_fixed": image_counts.mean_dice(fixed),
            "val_iou_opt": image_counts.mean_iou(at(best_dice)),
            "val_dice_opt": image_counts.mean_dice(at(best_dice)),
            "opt_threshold_f1": (best_f1 + 1) / N_BINS,
            "opt_threshold_dice": (best_dice + 1) / N_BINS,
            **{f"iou_{percent}": image_counts.iou_at(percent)(fixed) for percent in (50, 75, 90)},
            "auprc": average_precision(self._pooled),
            "precision": image_counts.precision(fixed),
            "recall": image_counts.recall(fixed),
            "recall_at_fp_1": self._components.recall_at_fp(1),
            "dice_all": image_counts.dice_all(fixed),
            "dice_defective": image_counts.mean_dice(fixed),
            "dice_clean": float(dice[~defective].mean()) if (~defective).any() else None,
            "presence_accuracy": image_counts.image_accuracy(fixed),
            "presence_f1": image_counts.image_f1(fixed),
        }
        for name in self.classes:
            metrics |= {f"{metric}_{name}": value for metric, value in self._class_metrics(name).items()}
        return metrics

    def _class_metrics(self, name: str) -> dict[str, float | None]:
        images = ImageCounts(*np.array(self._counts[name]).T)
        return {
            "dice": image_counts.mean_dice(images),
            "iou": image_counts.mean_iou(images),
            "precision": image_counts.precision(images),
            "recall": image_counts.recall(images),
            "presence_accuracy": image_counts.image_accuracy(images),
            "presence_f1": image_counts.image_f1(images),
        }


def leave_out_ignored(codes: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """``codes`` and ``truth``, both (C, H, W), without a defect in IGNORED pixels, and the number of these."""
    ignored = truth[0] == IGNORED
    if not ignored.any():
        return codes, truth, 0
    return np.where(ignored, 0, codes), np.where(ignored, 0, truth), int(ignored.sum())


class ComponentHits:
    """Matches of predicted and true components in images added one by one, by the default settings of scoring."""

    def __init__(self) -> None:
        """Start without images."""
        self._scores: list[np.ndarray] = []
        self._hits: list[np.ndarray] = []
        self._n_images = self._n_truth = self._n_clusters = 0

    def add(self, codes: np.ndarray, truth: np.ndarray) -> None:
        """Add one image: its merged map, (H, W) uint16, cut at p = 0.5, and its true mask, 0 and 1."""
        true, predicted = find_components(truth.astype(bool)), find_components(codes >= HALF)
        scores = highest_codes(predicted, codes)
        matched, _ = match_components(predicted, true, scores, _SCORE.match_iou)
        self._scores.append(scores)
        self._hits.append(matched >= 0)
        self._n_images += 1
        self._n_truth += len(true)
        self._n_clusters += len(np.unique(assign_clusters(truth.astype(bool), true)))

    def recall_at_fp(self, at_most: float) -> float | None:
        """Recall at ``at_most`` false components per image; None without true ones, or if they are fragmented."""
        if not self._n_truth or 1 - self._n_clusters / self._n_truth >= _SCORE.fragmented_from:
            return None
        scores, hits = np.concatenate(self._scores), np.concatenate(self._hits)
        return recall_at_fp(scores, hits, self._n_truth, self._n_images, at_most)

"""Gate of a submission: images whose defect score for a class is low are submitted as empty of it.

One false pixel on a clean image costs a whole image under Dice with "both empty = 1". So each class has a second
decision per image, as every top solution of the Severstal competition had: is there a defect at all?
"""

from dataclasses import dataclass

import numpy as np

from defectbench.evaluation import policies
from defectbench.evaluation.calibration import Calibration
from defectbench.evaluation.truth import ValidationData, ids_sha256
from defectbench.metrics.codes import probabilities_from_codes
from defectbench.metrics.counts import confusion, dice

# Share of the image that must reach the score: 205 pixels of 256 x 1600. A single hot pixel is no defect.
SHARE = 0.0005


@dataclass(frozen=True)
class Gate:
    """A gate chosen on the val images; the keys of all dictionaries are classes."""

    codes: dict[str, int]
    """lowest score that passes; 0: all pass"""
    probability: dict[str, float]
    """the same as p"""
    value: dict[str, float]
    """mean Dice over all val images, both empty = 1, with the gate"""
    value_without: dict[str, float]
    n_images: int
    val_ids_sha256: str

    def apply(self, masks: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """``masks`` (C, H, W) bool, emptied where the map of ``codes`` (C, H, W) uint16 does not pass."""
        passes = [image_score(plane) >= gate for plane, gate in zip(codes, self.codes.values(), strict=True)]
        return masks & np.array(passes)[:, None, None]


def image_score(codes: np.ndarray) -> int:
    """Defect score of an image: the highest code that SHARE of the pixels of its map reach, at least one."""
    rank = max(1, round(SHARE * codes.size))
    return int(np.partition(codes, codes.size - rank, axis=None)[codes.size - rank])


def final_masks(
    codes: np.ndarray,
    calibration: Calibration,
    image: np.ndarray | None = None,
    ignored: np.ndarray | None = None,
    imposed: bool = False,
) -> np.ndarray:
    """Masks (C, H, W) bool at the calibrated thresholds, with post-processing if it was calibrated.

    Or, if ``imposed``, those of the policy that the study imposes. ``image`` is needed if a dense CRF was chosen;
    pixels of ``ignored``, (H, W) bool, are in no mask.
    """
    by_policy = policies.masks(codes, calibration, image, ignored)
    if imposed:
        return by_policy[policies.IMPOSED]
    return by_policy.get(policies.POST_PROCESSED, by_policy[policies.CALIBRATED])


def choose_gate(data: ValidationData, calibration: Calibration) -> Gate:
    """Choose for each class the gate with the highest mean Dice of the final masks over all val images, streamed.

    No gate is always a candidate, and the lowest of equal ones is taken. Methods without scores get none.

    Raises:
        TypeError: if ``data`` is not of val images.
    """
    if not isinstance(data, ValidationData):
        raise TypeError(f"a gate is chosen on ValidationData only, not {type(data).__name__}")
    scores, passed, emptied = [], [], []
    for sample in data:
        masks = final_masks(sample.codes, calibration, sample.image, sample.ignored)
        pairs = list(zip(sample.truth, masks, strict=True))
        passed.append([float(dice(*confusion(truth, mask))) for truth, mask in pairs])
        emptied.append([float(not truth.any()) for truth, _ in pairs])
        counted = slice(None) if sample.ignored is None else ~sample.ignored
        scores.append([image_score(plane[counted]) for plane in sample.codes])
    gates = {
        name: best_gate(*(np.array(values)[:, index] for values in (scores, passed, emptied)))
        if data.header.has_scores
        else (0, float(np.mean(passed, axis=0)[index]))
        for index, name in enumerate(data.header.classes)
    }
    return Gate(
        codes={name: gate for name, (gate, _) in gates.items()},
        probability={name: float(probabilities_from_codes(np.array(gate))) for name, (gate, _) in gates.items()},
        value={name: value for name, (_, value) in gates.items()},
        value_without=dict(zip(data.header.classes, np.mean(passed, axis=0).tolist(), strict=True)),
        n_images=len(data.ids),
        val_ids_sha256=ids_sha256(data.ids),
    )


def best_gate(scores: np.ndarray, passed: np.ndarray, emptied: np.ndarray) -> tuple[int, float]:
    """The gate and the mean value with it, of N images with ``scores``; each has the value ``passed`` if it passes.

    An image passes if its score is at least the gate; otherwise it has the value ``emptied``. All are (N,).
    """
    order = np.argsort(scores, kind="stable")
    ordered = scores[order].astype(np.int64)
    # Entry i: the i images of lowest score are emptied. A gate cannot separate equal scores, nor stop the highest code.
    values = np.concatenate([[0], np.cumsum(emptied[order])]) + np.concatenate(
        [np.cumsum(passed[order][::-1])[::-1], [0]]
    )
    gates = np.concatenate([[0], ordered[:-1] + 1, [ordered[-1] + 1]])
    possible = np.concatenate([[True], ordered[:-1] < ordered[1:], [ordered[-1] < np.iinfo(np.uint16).max]])
    best = int(np.argmax(np.where(possible, np.round(values, 9), -np.inf)))
    return int(gates[best]), float(values[best] / len(scores))

"""The val images that a network segments best and worst, as pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from defectbench.files import atomic
from defectbench.metrics import counts
from defectbench.metrics.codes import HALF
from defectbench.training.dataset import Samples

N_PICTURES = 4
TRUTH, PREDICTION = (0, 160, 0), (0, 60, 230)  # green and orange-red, BGR
_CAPTION, _GAP, _WIDTH = 24, 8, 640  # pixels; smaller images are enlarged by a whole factor to at most _WIDTH


@dataclass(frozen=True)
class Scored:
    """An image's prediction at p = 0.5, (H, W) bool, all classes together."""

    index: int
    dice: float
    wrong: int
    """Pixels"""
    defective: bool
    predicted: np.ndarray


class Extremes:
    """The best and the worst of the images added one by one; no other map is kept."""

    def __init__(self) -> None:
        """Without any image yet."""
        self.best: list[Scored] = []
        """Defective images with the highest Dice, best first: clean ones left clean teach nothing."""
        self.worst: list[Scored] = []
        """Images with the lowest Dice, worst first; of equal ones those with more wrong pixels."""

    def add(self, index: int, codes: np.ndarray, truth: np.ndarray) -> None:
        """Add image number ``index``: ``codes`` (C, H, W) uint16 and true masks of the same shape, 0 and 1."""
        predicted = codes.max(axis=0) >= HALF
        tp, fp, fn = counts.confusion(truth.max(axis=0), predicted)
        scored = Scored(index, float(counts.dice(tp, fp, fn)), int(fp + fn), bool(tp + fn), predicted)
        if scored.defective:
            self.best = sorted([*self.best, scored], key=lambda s: (-s.dice, s.wrong, s.index))[:N_PICTURES]
        self.worst = sorted([*self.worst, scored], key=lambda s: (s.dice, -s.wrong, s.index))[:N_PICTURES]


def write_pictures(found: Extremes, val: Samples, folder: Path) -> list[Path]:
    """Write ``best.png`` and ``worst.png`` into ``folder``: images with the outlines of truth and prediction."""
    written = []
    for name, chosen in (("best", found.best), ("worst", found.worst)):
        if chosen:
            with atomic(folder / f"{name}.png") as temporary:
                cv2.imwrite(str(temporary), _sheet(chosen, val))
            written.append(folder / f"{name}.png")
    return written


def _sheet(chosen: Sequence[Scored], val: Samples) -> np.ndarray:
    """Pictures (H, W, 3) BGR below one another, each below its caption."""
    pictures = [_outlined(scored, val) for scored in chosen]
    width = max(_WIDTH, *(picture.shape[1] for picture in pictures))
    height = sum(picture.shape[0] + _CAPTION + _GAP for picture in pictures)
    sheet = np.full((height, width, 3), 255, np.uint8)
    top = 0
    for scored, picture in zip(chosen, pictures, strict=True):
        text = f"{val.image_ids[scored.index]}  Dice {scored.dice:.3f}  truth green, prediction orange"
        cv2.putText(sheet, text, (4, top + 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        top += _CAPTION
        sheet[top : top + picture.shape[0], : picture.shape[1]] = picture
        top += picture.shape[0] + _GAP
    return sheet


def _outlined(scored: Scored, val: Samples) -> np.ndarray:
    image = val.images[val.image_ids[scored.index]]
    scale = max(1, _WIDTH // image.shape[1])
    drawn = _enlarged(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR), scale)
    truth = val.true_masks(scored.index).max(axis=0)
    for mask, colour in ((truth, TRUTH), (scored.predicted.astype(np.uint8), PREDICTION)):
        contours, _ = cv2.findContours(_enlarged(mask, scale), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, contours, -1, colour, 1)
    return drawn


def _enlarged(picture: np.ndarray, scale: int) -> np.ndarray:
    """Each pixel as a square of ``scale`` × ``scale``."""
    return np.ascontiguousarray(picture.repeat(scale, axis=0).repeat(scale, axis=1))

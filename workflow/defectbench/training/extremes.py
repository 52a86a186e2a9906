"""Pictures of the val images that a network segments best and worst."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from defectbench.data.packing import IGNORED
from defectbench.data.pixel_formats import picture as as_picture
from defectbench.data.stripes import mark_ignored
from defectbench.files import atomic
from defectbench.metrics import counts
from defectbench.metrics.codes import HALF
from defectbench.training.dataset import Samples
from defectbench.training.validation import leave_out_ignored

N_PICTURES = 4
TRUTH, PREDICTION = (0, 160, 0), (0, 60, 230)  # green and orange-red, BGR
_CAPTION, _GAP, _WIDTH = 24, 8, 640  # pixels; smaller images are enlarged by a whole factor to at most _WIDTH


@dataclass(frozen=True)
class ScoredImage:
    """An image with its merged prediction at p = 0.5."""

    index: int
    dice: float
    wrong: int
    """Pixels"""
    defective: bool
    predicted: np.ndarray
    """(H, W) bool"""


class Extremes:
    """The best and worst of the images added one by one; only their maps are in memory."""

    def __init__(self) -> None:
        """Start without images."""
        self.best: list[ScoredImage] = []
        """Defective images with the highest Dice, best first; correct clean images are of no interest."""
        self.worst: list[ScoredImage] = []
        """Images with the lowest Dice, worst first; of equal ones those with more wrong pixels first."""

    def add(self, index: int, codes: np.ndarray, truth: np.ndarray) -> None:
        """Add image number ``index``: ``codes`` (C, H, W) uint16 and true masks of the same shape, 0, 1 and IGNORED."""
        codes, truth, _ = leave_out_ignored(codes, truth)
        predicted = codes.max(axis=0) >= HALF
        tp, fp, fn = counts.confusion(truth.max(axis=0), predicted)
        scored = ScoredImage(index, float(counts.dice(tp, fp, fn)), int(fp + fn), bool(tp + fn), predicted)
        if scored.defective:
            self.best = sorted([*self.best, scored], key=lambda s: (-s.dice, s.wrong, s.index))[:N_PICTURES]
        self.worst = sorted([*self.worst, scored], key=lambda s: (s.dice, -s.wrong, s.index))[:N_PICTURES]


def write_pictures(extremes: Extremes, val: Samples, folder: Path) -> list[Path]:
    """Write ``best.png`` and ``worst.png`` into ``folder``: images with the outlines of truth and prediction."""
    paths = []
    for name, images in (("best", extremes.best), ("worst", extremes.worst)):
        if images:
            with atomic(folder / f"{name}.png") as temporary:
                cv2.imwrite(str(temporary), _draw_sheet(images, val))
            paths.append(folder / f"{name}.png")
    return paths


def _draw_sheet(images: Sequence[ScoredImage], val: Samples) -> np.ndarray:
    """Pictures (H, W, 3) BGR below one another, each below its caption."""
    pictures = [_draw_outlines(scored, val) for scored in images]
    width = max(_WIDTH, *(picture.shape[1] for picture in pictures))
    height = sum(picture.shape[0] + _CAPTION + _GAP for picture in pictures)
    sheet = np.full((height, width, 3), 255, np.uint8)
    top = 0
    for scored, picture in zip(images, pictures, strict=True):
        text = f"{val.image_ids[scored.index]}  Dice {scored.dice:.3f}  truth green, prediction orange"
        cv2.putText(sheet, text, (4, top + 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        top += _CAPTION
        sheet[top : top + picture.shape[0], : picture.shape[1]] = picture
        top += picture.shape[0] + _GAP
    return sheet


def _draw_outlines(scored: ScoredImage, val: Samples) -> np.ndarray:
    image = as_picture(val.images[val.image_ids[scored.index]])
    truth = val.true_masks(scored.index).max(axis=0)
    image = mark_ignored(image, truth == IGNORED)
    scale = max(1, _WIDTH // image.shape[1])
    picture = _enlarge(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR), scale)
    for mask, colour in ((truth == 1, TRUTH), (scored.predicted, PREDICTION)):
        contours, _ = cv2.findContours(_enlarge(mask.astype(np.uint8), scale), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, colour, 1)
    return picture


def _enlarge(picture: np.ndarray, scale: int) -> np.ndarray:
    """``picture`` with each pixel repeated ``scale`` × ``scale`` times."""
    return np.ascontiguousarray(picture.repeat(scale, axis=0).repeat(scale, axis=1))

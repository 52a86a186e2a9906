"""Reference methods without a network: constants, and a classical threshold."""

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from defectbench.data.packing import ImagePack, MaskPack
from defectbench.metrics.codes import N_BINS, codes_from_logits
from defectbench.metrics.counts import dice
from defectbench.metrics.histograms import joint_histogram, sweep
from defectbench.training.validation import leave_out_ignored

KERNEL_SIZES = (5, 9, 15, 25)
POLARITIES = ("bright", "dark", "both")
# With this steepness, thresholds on the score range from 1/16 to 16 times Otsu's: ±logit(255/256).
STEEPNESS = 2.0
# Enough to tell twelve candidates apart.
MAX_TUNING_IMAGES = 400


def as_grey(image: np.ndarray) -> np.ndarray:
    """A uint8 image (H, W) or (H, W, N) as (H, W): the luminance of RGB, the rounded mean of other channels."""
    if image.ndim == 2:
        return image
    if image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.rint(image.mean(axis=2)).astype(np.uint8)


@dataclass(frozen=True)
class TopHatOtsu:
    """Top-hat (bright) or black-hat (dark) response against its own Otsu threshold.

    N. Otsu, A threshold selection method from gray-level histograms, IEEE Trans. SMC 9 (1979).
    ``kernel`` is the diameter of the structuring element in pixels.
    """

    kernel: int
    polarity: str

    def logits(self, image: np.ndarray) -> np.ndarray:
        """Scores (H, W), float, of a uint8 image (H, W) or (H, W, N); 0 is Otsu's threshold.

        score = 2 · ln((response + 1) / (otsu + 1)), so a threshold on it is a factor on Otsu's. Of channels that are
        not RGB the mean is looked at.
        """
        grey = as_grey(image)
        smooth = cv2.GaussianBlur(grey, (3, 3), 0)
        element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (self.kernel, self.kernel))
        responses = []
        if self.polarity in ("bright", "both"):
            responses.append(cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, element))
        if self.polarity in ("dark", "both"):
            responses.append(cv2.morphologyEx(smooth, cv2.MORPH_BLACKHAT, element))
        response = np.maximum.reduce(responses)
        otsu, _ = cv2.threshold(response, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        return STEEPNESS * np.log((response + 1.0) / (otsu + 1.0))

    def codes(self, image: np.ndarray) -> np.ndarray:
        """Codes (1, H, W) of an image."""
        return codes_from_logits(self.logits(image))[None]


@dataclass(frozen=True)
class Constant:
    """A method that marks every pixel as a defect, or none."""

    defect: bool

    def codes(self, image: np.ndarray) -> np.ndarray:
        """Codes (1, H, W) of an image: the highest or the lowest."""
        return np.full((1, *image.shape[:2]), 65535 if self.defect else 0, dtype=np.uint16)


Reference = TopHatOtsu | Constant


def list_candidates() -> list[TopHatOtsu]:
    """All settings of the classical threshold, to be compared on training images."""
    return [TopHatOtsu(kernel, polarity) for polarity in POLARITIES for kernel in KERNEL_SIZES]


def to_dict(model: Reference) -> dict[str, Any]:
    """The model as JSON."""
    return {"kind": type(model).__name__, **asdict(model)}


def from_dict(values: dict[str, Any]) -> Reference:
    """Inverse of :func:`to_dict`."""
    kinds: dict[str, type[Reference]] = {kind.__name__: kind for kind in (TopHatOtsu, Constant)}
    arguments = {key: value for key, value in values.items() if key != "kind"}
    return kinds[values["kind"]](**arguments)


def tune_top_hat(images: ImagePack, masks: MaskPack, image_ids: list[str]) -> TopHatOtsu:
    """The candidate whose best threshold gives the highest mean Dice of merged masks over ``image_ids``.

    Both empty counts as Dice 1, as in ``dice_all``. The threshold itself is set by calibration.
    """

    def best_dice(model: TopHatOtsu) -> float:
        total = np.zeros(N_BINS - 1)
        for image_id in image_ids:
            truth = masks.read_marked(image_id, merged=True)
            (codes,), (truth,), n_ignored = leave_out_ignored(model.codes(images[image_id]), truth)
            histogram = joint_histogram(codes, truth, n_ignored)
            total += dice(*sweep(histogram))
        return float(total.max())

    return max(list_candidates(), key=best_dice)

"""Test-time augmentation: the mean of a predictor over several views of an image."""

from collections.abc import Callable

import cv2
import numpy as np

from defectbench.inference.ensemble import mean_codes

Predictor = Callable[[np.ndarray], np.ndarray]


def add_tta(predictor: Predictor, tta: str) -> Predictor:
    """``predictor`` averaged over the image itself and the views that ``tta`` names; unchanged if that is 'none'.

    ``tta`` is 'none', or 'hflip' and scales joined by '+', e.g. 'hflip+0.75+1.25'.
    """
    if tta == "none":
        return predictor
    parts = tta.split("+")
    return TestTimeAugmentation(predictor, "hflip" in parts, [float(part) for part in parts if part != "hflip"])


class TestTimeAugmentation:
    """A predictor that averages, as ensembles do, its maps of an image at several scales, mirrored or not."""

    __test__ = False  # pytest would take it for a test, by its name

    def __init__(self, predictor: Predictor, hflip: bool, scales: list[float]) -> None:
        """``predictor`` maps an image to codes (C, H, W); ``scales`` are factors of height and width, besides 1."""
        self.predictor = predictor
        self.flips = (False, True) if hflip else (False,)
        self.scales = [1.0, *scales]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Codes (C, H, W) of a uint8 image (H, W) or (H, W, 3), at the image's own pixels."""
        return mean_codes([self._view(image, scale, flip) for scale in self.scales for flip in self.flips])

    def _view(self, image: np.ndarray, scale: float, flip: bool) -> np.ndarray:
        """Codes of one view, mapped back to the image's own pixels."""
        height, width = image.shape[:2]
        view = image[:, ::-1] if flip else image
        if scale != 1:
            size = max(1, round(scale * width)), max(1, round(scale * height))
            view = cv2.resize(view, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        # A copy: a mirrored view has negative strides, which torch does not take.
        codes = self.predictor(np.ascontiguousarray(view))
        if scale != 1:
            # Codes are linear in the logit, so this interpolates logits.
            codes = np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in codes])
        return codes[:, :, ::-1] if flip else codes

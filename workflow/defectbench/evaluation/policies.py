"""The policies by which maps become masks, and how the metrics of each are called."""

import numpy as np

from defectbench.evaluation.calibration import Calibration
from defectbench.evaluation.dense_crf import ImageCrfs
from defectbench.metrics.codes import HALF, threshold_code

CALIBRATED, AT_HALF, POST_PROCESSED = "calibrated", "at_0.5", "post_processed"


def masks(codes: np.ndarray, calibration: Calibration, image: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Masks (C, H, W) bool of one image by policy, of its maps (C, H, W) uint16.

    ``image``, (H, W) or (H, W, 3) uint8, is needed if a dense CRF was chosen, else it may be None. Classes come in
    the order of ``calibration.thresholds``. ``post_processed`` is absent if none was sought.
    """
    cuts = np.array([threshold_code(k) for k in calibration.thresholds.values()], dtype=np.uint16)
    found = {CALIBRATED: codes >= cuts[:, None, None], AT_HALF: codes >= HALF}
    if calibration.post_processed:
        crfs = ImageCrfs(image)
        chosen = zip(codes, map(calibration.pipeline, calibration.thresholds), strict=True)
        found[POST_PROCESSED] = np.stack([steps.mask(plane, k, crfs) for plane, (k, steps) in chosen])
    return found


def headline(zero_shot: bool) -> str:
    """The policy of unsuffixed names: a method that was shown no labels must not owe its threshold to val labels."""
    return AT_HALF if zero_shot else CALIBRATED


def suffixes(zero_shot: bool) -> list[tuple[str, str]]:
    """Pairs (policy, suffix of its metrics' names)."""
    pairs = [(headline(zero_shot), ""), (AT_HALF, "_at_0.5"), (POST_PROCESSED, "_pp")]
    return [*pairs, (CALIBRATED, "_calibrated")] if zero_shot else pairs

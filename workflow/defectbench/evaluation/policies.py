"""Policies by which maps become masks, and the suffixes of their metrics' names."""

from collections.abc import Iterator

import numpy as np

from defectbench.evaluation.calibration import Calibration
from defectbench.evaluation.dense_crf import ImageCrfs
from defectbench.metrics.codes import HALF, threshold_code

CALIBRATED, AT_HALF, POST_PROCESSED, IMPOSED = "calibrated", "at_0.5", "post_processed", "imposed"


def masks(
    codes: np.ndarray,
    calibration: Calibration,
    image: np.ndarray | None = None,
    ignored: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Masks of one image by policy; see :func:`iterate_masks`."""
    return dict(iterate_masks(codes, calibration, image, ignored))


def iterate_masks(
    codes: np.ndarray,
    calibration: Calibration,
    image: np.ndarray | None = None,
    ignored: np.ndarray | None = None,
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each policy and its masks (C, H, W) bool of one image, of its maps (C, H, W) uint16.

    ``image``, (H, W) or (H, W, 3) uint8, is needed if a dense CRF was chosen, else it may be None. Classes are in the
    order of ``calibration.thresholds``. ``post_processed`` is absent if no post-processing was calibrated,
    ``imposed`` if the study imposes nothing. Pixels of ``ignored``, (H, W) bool, are in no mask: their codes count as
    0, and post-processing that spreads there is cut.
    """
    if ignored is not None:
        codes = np.where(ignored, 0, codes)
    cuts = np.array([threshold_code(k) for k in calibration.thresholds.values()], dtype=np.uint16)
    yield CALIBRATED, codes >= cuts[:, None, None]
    yield AT_HALF, codes >= HALF
    crfs = ImageCrfs(image)
    if calibration.post_processed:
        pipelines = map(calibration.pipeline, calibration.thresholds)
        processed = [steps.mask(plane, k, crfs) for plane, (k, steps) in zip(codes, pipelines, strict=True)]
        yield POST_PROCESSED, np.stack(processed) if ignored is None else np.stack(processed) & ~ignored
    if calibration.imposed:
        k, steps = calibration.imposed_pipeline()
        yield IMPOSED, np.stack([steps.mask(plane, k, crfs) for plane in codes])


def headline(zero_shot: bool) -> str:
    """The policy of unsuffixed names: at p = 0.5 for zero-shot methods, whose threshold must not use val labels."""
    return AT_HALF if zero_shot else CALIBRATED


def suffixes(zero_shot: bool) -> list[tuple[str, str]]:
    """Pairs (policy, suffix of its metrics' names)."""
    pairs = [(headline(zero_shot), ""), (AT_HALF, "_at_0.5"), (POST_PROCESSED, "_pp"), (IMPOSED, "_imposed")]
    return [*pairs, (CALIBRATED, "_calibrated")] if zero_shot else pairs

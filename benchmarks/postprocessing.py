"""Trying all candidates of post-processing on one mask: ours beside one pipeline after another.

Ours labels components once for all smallest areas. Beside it the same steps pipeline by pipeline, by our own functions
and by scikit-image and SciPy. Masks of 256 x 1600 pixels with blobs and noise.
"""

import argparse
import statistics
import time

import cv2
import numpy as np
from scipy import ndimage
from skimage import morphology

from defectbench.config.calibrate import PostProcessingSettings
from defectbench.evaluation.dense_crf import ImageCrfs
from defectbench.evaluation.postprocessing import Candidates, PostProcessing, min_area_pixels
from defectbench.metrics.counts import confusion

HEIGHT, WIDTH = 256, 1600


def field(rng: np.random.Generator, sigma: float) -> np.ndarray:
    """Smooth noise of unit variance."""
    values = cv2.GaussianBlur(rng.normal(size=(HEIGHT, WIDTH)).astype(np.float32), (0, 0), sigma)
    return values / values.std()


def plain(mask: np.ndarray, steps: PostProcessing) -> np.ndarray:
    """One pipeline by scikit-image and SciPy."""
    if steps.opening:
        mask = morphology.opening(mask, morphology.disk(steps.opening))
    if steps.closing:
        mask = morphology.closing(mask, morphology.disk(steps.closing))
    if steps.fill_holes:
        mask = ndimage.binary_fill_holes(mask)
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    kept = np.bincount(labels.ravel()) >= min_area_pixels(steps.min_area, mask.size)
    return kept[labels] & mask


def main() -> None:
    """Print milliseconds a mask and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    truth = field(rng, 12) > 2
    masks = {
        "few components": truth ^ (field(rng, 3) > 3.2),
        "many components": field(rng, 2) + 1.5 * truth > 1.5,
        "noise": field(rng, 1) > 0.8,
    }
    search = Candidates(PostProcessingSettings())
    ways = {
        "ours": lambda mask: search.count(np.where(mask, 65535, 0).astype(np.uint16), 128, truth, ImageCrfs(None)),
        "pipeline by pipeline": lambda mask: [confusion(truth, steps.apply(mask)) for steps in search.pipelines],
        "scikit-image, SciPy": lambda mask: [confusion(truth, plain(mask, steps)) for steps in search.pipelines],
    }
    print(f"{len(search.pipelines)} candidates on one mask; milliseconds, medians of {args.repeats}")
    for name, mask in masks.items():
        first, *others = (np.array(way(mask)) for way in ways.values())
        assert all(np.array_equal(first, other) for other in others)
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(args.repeats):
            for way, function in ways.items():
                started = time.perf_counter()
                function(mask)
                times[way].append(1e3 * (time.perf_counter() - started))
        medians = {way: statistics.median(values) for way, values in times.items()}
        print(f"{name}, {cv2.connectedComponents(mask.view(np.uint8))[0] - 1} of them")
        for way, median in medians.items():
            print(f"  {way:20} {median:8.1f}  ours takes {medians['ours'] / median:.3f} of it")


if __name__ == "__main__":
    main()

"""Counts, boundaries, centre lines, components and FROC apart: ours beside the plain ways, on 256 x 1600 pixels."""

import argparse
import csv
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

from defectbench.data.rle import decode_severstal
from defectbench.metrics.boundary import boundary
from defectbench.metrics.components import highest_codes, match_components
from defectbench.metrics.counts import confusion
from defectbench.metrics.froc import recall_at_fp
from defectbench.metrics.hits import count_hits
from defectbench.metrics.shape import Shape

HEIGHT, WIDTH = 256, 1600
NEIGHBOURS = np.ones((3, 3))

Pair = tuple[np.ndarray, np.ndarray, np.ndarray]
"""prediction and truth (H, W) bool, codes (H, W) uint16"""


def count(pair: Pair) -> tuple[int, ...]:
    """True and false pixels."""
    return confusion(pair[1], pair[0])


def count_plainly(pair: Pair) -> tuple[int, ...]:
    """Three sums."""
    prediction, truth, _ = pair
    return int((truth & prediction).sum()), int((prediction & ~truth).sum()), int((truth & ~prediction).sum())


def edges(pair: Pair) -> tuple[int, ...]:
    """Boundary pixels and hits."""
    p, t = Shape(pair[0]), Shape(pair[1])
    return count_hits(p.boundary, t.near_boundary, t.boundary, p.near_boundary)


def edges_by_distance(pair: Pair) -> tuple[int, ...]:
    """Exact distance transforms of whole images."""
    p, t = boundary(pair[0]), boundary(pair[1])
    return count_hits(p, ndimage.distance_transform_edt(~t) <= 2, t, ndimage.distance_transform_edt(~p) <= 2)


def lines(pair: Pair) -> tuple[int, ...]:
    """Centre-line pixels and hits, with the components that they need."""
    p, t = Shape(pair[0]), Shape(pair[1])
    return count_hits(p.skeleton, t.mask, t.skeleton, p.mask)


def lines_of_whole_images(pair: Pair) -> tuple[int, ...]:
    """Thinning of whole images."""
    return count_hits(skeletonize(pair[0]), pair[1], skeletonize(pair[1]), pair[0])


def parts(pair: Pair) -> int:
    """Components with their scores, matched; the number of matches."""
    p, t = Shape(pair[0]).components, Shape(pair[1]).components
    return int((match_components(p, t, highest_codes(p, pair[2]), 0.5)[0] >= 0).sum())


def parts_one_by_one(pair: Pair) -> int:
    """SciPy's components and maxima, every IoU from whole masks."""
    (p, n), (t, m) = (ndimage.label(mask, NEIGHBOURS) for mask in pair[:2])
    scores = ndimage.maximum(pair[2], p, np.arange(1, n + 1))
    free, matches = set(range(1, m + 1)), 0
    for i in np.argsort(scores)[::-1] + 1:
        ious = {j: ((p == i) & (t == j)).sum() / ((p == i) | (t == j)).sum() for j in free}
        best = max(ious, key=ious.get, default=None)
        if best is not None and ious[best] >= 0.5:
            free.remove(best)
            matches += 1
    return matches


def froc_of_all_cuts(scores: np.ndarray, hit: np.ndarray, n_truth: int, n_images: int, at_most: float) -> float:
    """Every cut tried."""
    kept = [scores >= cut for cut in np.unique(scores)]
    return max((hit[k].sum() / n_truth for k in kept if (~hit[k]).sum() <= at_most * n_images), default=0.0)


def medians_ms(ways: Sequence[Callable], items: Sequence[Any], repeats: int) -> list[float]:
    """Median milliseconds per item of each way, ways taken in turn."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for way, of_way in zip(ways, times, strict=True):
            started = time.perf_counter()
            for item in items:
                way(item)
            of_way.append(1000 * (time.perf_counter() - started) / len(items))
    return list(map(statistics.median, times))


def pairs_of(truths: list[np.ndarray]) -> list[Pair]:
    """Each truth with a prediction that is shifted, grown and has specks beside it."""
    rng = np.random.default_rng(0)
    pairs = []
    for truth in truths:
        shifted = np.roll(truth, rng.integers(-6, 7, 2), (0, 1)).view(np.uint8)
        specks = cv2.GaussianBlur(rng.normal(size=truth.shape), (0, 0), 4) > 0.21
        codes = rng.integers(0, 65536, truth.shape).astype(np.uint16)
        pairs.append((cv2.dilate(shifted, np.ones((3, 3))).view(bool) | specks, truth, codes))
    return pairs


def truths_of(table: Path | None, n: int) -> list[np.ndarray]:
    """Masks of a Severstal label table, or random blobs."""
    if table:
        with table.open() as file:
            codes = [row["EncodedPixels"] for row in csv.DictReader(file)]
        return [decode_severstal(code, HEIGHT, WIDTH).view(bool) for code in codes[:: len(codes) // n][:n]]
    rng = np.random.default_rng(1)
    noise = (cv2.GaussianBlur(rng.normal(size=(HEIGHT, WIDTH)).astype(np.float32), (0, 0), 12) for _ in range(n))
    return [values > 2 * values.std() for values in noise]


def main() -> None:
    """Print a table of milliseconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, help="a Severstal label table; without it, random masks")
    parser.add_argument("--masks", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    pairs = pairs_of(truths_of(args.csv, args.masks))
    n_components = np.mean([len(Shape(prediction).components) for prediction, _, _ in pairs])
    print(f"{len(pairs)} images with {n_components:.0f} predicted components each; ms an image, medians")
    rng = np.random.default_rng(2)
    table = rng.integers(0, 65536, 20_000), rng.random(20_000) < 0.1, 4000, 2000, 1
    jobs = {
        "counts": (pairs, count, count_plainly),
        "boundary": (pairs, edges, edges_by_distance),
        "centre lines": (pairs, lines, lines_of_whole_images),
        "components": (pairs, parts, parts_one_by_one),
        "FROC": ([table], lambda t: recall_at_fp(*t), lambda t: froc_of_all_cuts(*t)),
    }
    for job, (items, ours, other) in jobs.items():
        assert all(ours(item) == other(item) for item in items), f"{job}: the two ways differ"
        base, plain = medians_ms([ours, other], items, args.repeats)
        print(f"{job:13} ours {base:7.2f}, plain {plain:8.2f}: ours takes {base / plain:.3f} of it")
    print("FROC: ms for a table of 20,000 components, all images together")


if __name__ == "__main__":
    main()

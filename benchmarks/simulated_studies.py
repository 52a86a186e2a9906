"""Studies with a known truth: scores of images in groups, and differences between two experiments."""

from collections.abc import Callable

import numpy as np
from scipy.stats import beta, norm

SD = 0.15
"""Of the paired differences of two experiments"""
WITHIN = 0.4
"""Correlation of the scores of one group's images"""

# How the images come in groups: name -> group of each image, (N,), of a sample with so many groups.
Layout = Callable[[np.random.Generator, int], np.ndarray]
LAYOUTS: dict[str, Layout] = {
    "single images": lambda rng, n: np.arange(n),
    "groups of 1 to about 20": lambda rng, n: np.repeat(np.arange(n), rng.geometric(0.25, n)),
    "one group of 200, others of 3": lambda rng, n: np.repeat(np.arange(n), [200, *[3] * (n - 1)]),
}


def group_sizes(rng: np.random.Generator, per_group: int, n: int) -> np.ndarray:
    """Group of each of ``n`` images, (n,); sizes vary around ``per_group``."""
    if per_group == 1:
        return np.arange(n)
    sizes = 1 + rng.poisson(per_group - 1, n)
    return np.repeat(np.arange(n), sizes)[:n]


def study(rng: np.random.Generator, groups: np.ndarray, icc: float, gains: np.ndarray) -> np.ndarray:
    """Scores (K, N) of K experiments whose means differ by ``gains``; not bounded.

    A score is the image's own difficulty plus, for each experiment, a part that the images of a group share and one of
    the image's own; ``icc`` is the share of the first in the variance of the paired differences.
    """
    shape = (len(gains), groups.max() + 1)
    shared = rng.normal(0, SD * np.sqrt(icc / 2), shape)[:, groups]
    own = rng.normal(0, SD * np.sqrt((1 - icc) / 2), (len(gains), len(groups)))
    return 0.6 + gains[:, None] + rng.normal(0, 0.2, len(groups)) + shared + own


def seeded_study(rng: np.random.Generator, n: int, seeds: int, seed_sd: float, gain: float) -> np.ndarray:
    """Scores (2, S, n) of two experiments on ``n`` images, each trained S times; the first is better by ``gain``."""
    trainings = rng.normal(0, seed_sd, (2, seeds, 1)) + np.array([gain, 0.0])[:, None, None]
    return 0.75 + trainings + rng.normal(0, 0.25, n) + rng.normal(0, SD / np.sqrt(2), (2, seeds, n))


def skewed_differences(
    rng: np.random.Generator, shape: tuple[int, ...], ties: float = 0.0, noise: float = 0.002
) -> np.ndarray:
    """Differences of equal means: of those that are not 0, nine in ten are +0.02, one in ten is -0.18."""
    differences = np.where(rng.random(shape) < 0.1, -0.18, 0.02) + rng.normal(0, noise, shape)
    return np.where(rng.random(shape) < ties, 0.0, differences)


def tied_differences(rng: np.random.Generator, n: int, ties: float, gain: float) -> np.ndarray:
    """Differences of ``n`` images, a share of them 0, the others ``gain`` on average."""
    return np.where(rng.random(n) < ties, 0.0, rng.normal(gain, SD, n))


def correlated(rng: np.random.Generator, groups: np.ndarray) -> np.ndarray:
    """Uniform values (N,) that the images of a group share in part (a Gaussian copula)."""
    shared = np.sqrt(WITHIN) * rng.normal(size=groups.max() + 1)[groups]
    return norm.cdf(shared + np.sqrt(1 - WITHIN) * rng.normal(size=len(groups)))


def inflated(rng: np.random.Generator, groups: np.ndarray, zeros: float, ones: float) -> np.ndarray:
    """Scores like Dice: many 0, many 1, the rest Beta(5, 2), whose mean is 5/7."""
    u = correlated(rng, groups)
    inner = beta.ppf(np.clip((u - zeros) / (1 - zeros - ones), 1e-9, 1 - 1e-9), 5, 2)
    return np.where(u < zeros, 0.0, np.where(u > 1 - ones, 1.0, inner))


def _share(p: float) -> tuple[Callable, float]:
    return lambda rng, groups: (correlated(rng, groups) < p).astype(float), p


def _inflated(zeros: float, ones: float) -> tuple[Callable, float]:
    return lambda rng, groups: inflated(rng, groups, zeros, ones), ones + (1 - zeros - ones) * 5 / 7


def _beta(mean: float) -> tuple[Callable, float]:
    return lambda rng, groups: beta.ppf(correlated(rng, groups), 8 * mean, 8 * (1 - mean)), mean


Scores = Callable[[np.random.Generator, np.ndarray], np.ndarray]
DISTRIBUTIONS: dict[str, tuple[Scores, float]] = {
    **{f"0 or 1, {p:.0%} of 1": _share(p) for p in (0.5, 0.8, 0.95, 0.98, 0.99)},
    **{
        f"{zeros:.0%} zeros, {ones:.0%} ones": _inflated(zeros, ones)
        for zeros, ones in ((0.15, 0.4), (0.1, 0.85), (0.03, 0.9), (0.01, 0.97))
    },
    **{f"Beta of mean {mean}": _beta(mean) for mean in (0.5, 0.7, 0.9, 0.97)},
}
"""Name -> values of a sample with these groups, in [0, 1], and their true mean"""


def pooled_counts(rng: np.random.Generator, groups: np.ndarray, skill: float) -> tuple[np.ndarray, ...]:
    """True positives, false positives and false negatives, (N,) pixels, of images of which half are defective.

    Areas are lognormal, as those of defects are, large defects are found better, and a quarter of the images have a
    false alarm; a higher ``skill`` finds more.
    """
    n = len(groups)
    share = np.sqrt(0.3) * rng.normal(size=groups.max() + 1)[groups]
    area = np.where(rng.random(n) < 0.5, np.exp(6 + 1.3 * (share + np.sqrt(0.7) * rng.normal(size=n))), 0)
    ease = 0.35 * (np.log(np.maximum(area, 1)) - 6) + 1.2 * (share + np.sqrt(0.7) * rng.normal(size=n))
    found = norm.cdf(skill + ease)
    alarms = np.where(rng.random(n) < 0.25, np.exp(4.5 + 1.3 * rng.normal(size=n)), 0) + 0.1 * area * rng.random(n)
    return area * found, alarms, area * (1 - found)


# Ratio of totals -> its numerator and denominator from the counts.
RATIOS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "iou_dataset": lambda tp, fp, fn: (tp, tp + fp + fn),
    "Recall": lambda tp, fp, fn: (tp, tp + fn),
    "Precision": lambda tp, fp, fn: (tp, tp + fp),
    "F1": lambda tp, fp, fn: (2 * tp, 2 * tp + fp + fn),
}

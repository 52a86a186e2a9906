"""Tests and rankings of experiments on the same test images, which come in groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau, rankdata, wilcoxon

from defectbench.evaluation.intervals import TAILS, GroupBootstrap

ALPHA = 0.05
FEWEST_GROUPS = 20
A_BETTER, B_BETTER, NO_CLAIM, TOO_FEW = "a better", "b better", "no claim", "too few groups"


@dataclass(frozen=True)
class Comparison:
    """Two experiments on the images that both have a value for."""

    n_images: int
    n_groups: int
    mean_a: float
    mean_b: float
    difference: float
    """mean_a - mean_b"""
    low: float
    high: float
    p_wilcoxon: float
    """Of the two-sided Wilcoxon test"""
    p_mean: float
    """Of the two-sided studentised bootstrap test that the mean difference is 0; NaN with fewer than two groups"""
    p: float
    """Of both together: near 1 if they point to different sides; not yet corrected"""


@dataclass(frozen=True)
class Verdict:
    """The claim that a comparison allows, and its reason."""

    p_holm: float
    claim: str
    reason: str


def compare(a: np.ndarray, b: np.ndarray, bootstrap: GroupBootstrap) -> Comparison:
    """Compare two experiments by their scores, (N,) float in [0, 1] each, on the images of ``bootstrap``.

    Scores are averaged over seeds already; images that are NaN in either are left out. One test is Wilcoxon's signed
    rank test on the groups' mean differences, zeros split between the signs (Pratt 1959 discusses the treatments; this
    is scipy's "zsplit"): a group is one observation, however many images it has. The other is that of the interval.
    Wilcoxon alone also rejects equal means whose differences are skewed, and may favour the worse mean, so both must
    reject, on the same side (an intersection-union test; Berger, Technometrics 24, 1982): ``p`` is twice the larger of
    the one-sided p values, on the side where that is less.
    """
    differences = a - b
    both = ~np.isnan(differences)
    sums, sizes = bootstrap.totals(differences)
    present = sizes > 0
    if not present.any():
        return Comparison(0, 0, *[np.nan] * 8)
    by_ranks = _signed_rank_test(sums[present] / sizes[present])
    mean = bootstrap.studentised(differences)
    by_mean = mean.p_values()
    p_values = (_two_sided(p) for p in (by_ranks, by_mean, np.maximum(by_ranks, by_mean).tolist()))
    mean_a, mean_b = float(a[both].mean()), float(b[both].mean())
    low, high = mean.interval(-1, 1)
    return Comparison(int(both.sum()), int(present.sum()), mean_a, mean_b, mean_a - mean_b, low, high, *p_values)


def _signed_rank_test(differences: np.ndarray) -> tuple[float, float]:
    """One-sided p values of Wilcoxon's test against smaller and against greater differences, (G,), than 0."""
    # Differences of equal scores that rounding made different must count as ties.
    differences = differences.round(12)
    if not differences.any():
        return 1.0, 1.0
    less, greater = (wilcoxon(differences, zero_method="zsplit", alternative=side) for side in ("less", "greater"))
    return float(less.pvalue), float(greater.pvalue)


def _two_sided(p: Sequence[float]) -> float:
    return float(np.minimum(2 * np.min(p), 1))


def judge(comparisons: Sequence[Comparison]) -> list[Verdict]:
    """Correct the p values of a declared set of comparisons after Holm (1979) and decide on the claims.

    A claim needs a corrected p below ALPHA. Then both tests point to the same side and the interval excludes 0. With
    fewer than FEWEST_GROUPS groups nothing is claimed.
    """
    corrected = holm(np.array([comparison.p for comparison in comparisons], dtype=float))
    return [_verdict(comparison, float(q)) for comparison, q in zip(comparisons, corrected, strict=True)]


def holm(p: np.ndarray) -> np.ndarray:
    """Correct p values, (M,) float, for being M: S. Holm, Scandinavian Journal of Statistics 6, 1979. NaN stays NaN.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none falls below the one before it.
    """
    order = np.argsort(p, kind="stable")  # NaN last
    remaining = np.count_nonzero(~np.isnan(p)) - np.arange(len(p))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * remaining), 1)
    return corrected


def _verdict(comparison: Comparison, p_holm: float) -> Verdict:
    if comparison.n_groups < FEWEST_GROUPS:
        reason = f"{comparison.n_groups} groups; at least {FEWEST_GROUPS} are needed"
        return Verdict(p_holm, TOO_FEW, reason)
    if p_holm < ALPHA:
        reason = f"Holm p < {ALPHA} and the interval excludes 0"
        return Verdict(p_holm, A_BETTER if comparison.difference > 0 else B_BETTER, reason)
    if comparison.low <= 0 <= comparison.high:
        return Verdict(p_holm, NO_CLAIM, f"Holm p ≥ {ALPHA}, interval includes 0")
    if comparison.p > max(comparison.p_wilcoxon, comparison.p_mean):
        return Verdict(p_holm, NO_CLAIM, f"Holm p ≥ {ALPHA}: ranks and interval point to different sides")
    return Verdict(p_holm, NO_CLAIM, f"Holm p ≥ {ALPHA}")


@dataclass(frozen=True)
class Ranking:
    """Ranks of K experiments, 1 is best, each field (K,) except Kendall's tau."""

    rank: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_best: np.ndarray
    """Share of draws in which the experiment is the best; ties share"""
    tau: tuple[float, float, float]
    """Kendall's tau-b between the ranking of a draw and that of the sample: median, 2.5 % and 97.5 % quantile"""


def bootstrap_ranks(scores: np.ndarray, bootstrap: GroupBootstrap) -> Ranking:
    """Rank K experiments by the means of their ``scores``, (K, N) float, in the sample and in every draw."""
    points = np.nanmean(scores, axis=1).round(12)
    draws = np.column_stack([bootstrap.means(row) for row in scores]).round(12)
    draws = draws[~np.isnan(draws).any(axis=1)]
    ranks = rankdata(-draws, axis=1)
    best = draws == draws.max(axis=1, keepdims=True)
    low, median, high = np.quantile(ranks, (TAILS[0], 0.5, TAILS[1]), axis=0)
    tau = (np.nan, np.nan, np.nan)
    # It is not defined where all are equal.
    if np.ptp(points) > 0:
        taus = [kendalltau(points, draw).statistic for draw in draws[np.ptp(draws, axis=1) > 0]]
        middle, lower, upper = np.quantile(taus, (0.5, *TAILS)).tolist()
        tau = middle, lower, upper
    p_best = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    return Ranking(rankdata(-points), median, low, high, p_best, tau)


@dataclass(frozen=True)
class SeedSpread:
    """Components of the spread that are due to training and to images; standard deviations."""

    mean: float
    sd: float
    """Of the means of the seeds"""
    seed_sd: float
    image_sd: float
    rest_sd: float
    """Of what is peculiar to a seed on an image"""


def seed_spread(scores: np.ndarray) -> SeedSpread:
    """Split the variance of ``scores``, (S, N) float: S >= 2 seeds of one experiment on the same N images.

    Two crossed random factors without replication, estimated from mean squares; negative estimates are 0 (Searle,
    Casella and McCulloch, Variance Components, 1992, section 4.5). Images that are NaN are left out of all seeds.
    """
    scores = scores[:, ~np.isnan(scores).any(axis=0)]
    n_seeds, n = scores.shape
    if n < 2:
        return SeedSpread(*[np.nan] * 5)
    by_seed, by_image, mean = scores.mean(axis=1), scores.mean(axis=0), scores.mean()
    of_seeds, of_images = n * by_seed.var(ddof=1), n_seeds * by_image.var(ddof=1)
    rest = scores - by_seed[:, None] - by_image + mean
    of_rest = (rest**2).sum() / ((n_seeds - 1) * (n - 1))
    parts = ((of_seeds - of_rest) / n, (of_images - of_rest) / n_seeds, of_rest)
    return SeedSpread(float(mean), float(by_seed.std(ddof=1)), *(float(np.sqrt(max(part, 0.0))) for part in parts))

"""Tests of two experiments on the same test images, which come in groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student
from scipy.stats import wilcoxon

from defectbench.evaluation.intervals import (
    FEWEST_GROUPS,
    TAILS,
    GroupBootstrap,
    StudentisedMean,
    count_different,
    group_means,
)

ALPHA = 0.05
FEW_GROUPS = 50
"""Groups that differ, below which they may lack what happens in one of ten"""
ONE_SIDED = 0.15
"""Differences against, as a share of those for, below which few groups are one-sided and the worst case counts"""
A_BETTER, B_BETTER, NO_CLAIM, TOO_FEW, IDENTICAL = "a better", "b better", "no claim", "too few groups", "identical"


@dataclass(frozen=True)
class Comparison:
    """Two experiments on the images that both have a value for."""

    n_images: int
    n_groups: int
    n_images_differ: int
    n_groups_differ: int
    """Groups whose mean difference is not 0"""
    n_seeds_a: int
    n_seeds_b: int
    training_variance: float
    """Of the difference, due to training; 0 if it is not known"""
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
    p_seeds: float
    """Of the two-sided t test with the variance between trainings; NaN unless both sides have several, or one has and
    the other is not trained"""
    p_worst_case: float
    """Of the worst-case bound; NaN unless fewer than FEW_GROUPS groups differ and they are one-sided"""
    p: float
    """Of all together: near 1 if they point to different sides; not yet corrected"""
    p_not_worse: float
    """One-sided, that b is worse than a by ``margin`` or more; NaN without a margin or with too few groups"""
    smallest_p: float
    """The smallest p that the draws allow"""


@dataclass(frozen=True)
class Verdict:
    """The claims that a comparison allows, and the reason."""

    p_holm: float
    claim: str
    reason: str
    p_not_worse: float
    """Corrected with the others"""
    at_draw_limit: bool
    """Whether p_holm is the smallest that the draws allow, so that it stands for any smaller value"""


@dataclass(frozen=True)
class TrainingChance:
    """Variance of a difference of two means that is due to training, and its degrees of freedom by side."""

    variances: tuple[float, ...]
    """Of the mean over seeds, of each side that is trained"""
    freedoms: tuple[int, ...]

    def test(self, mean: StudentisedMean, n_groups: int) -> tuple[float, float]:
        """Standard error with the variance of training, and degrees of freedom (Welch 1947; Satterthwaite 1946)."""
        of_images = mean.error**2
        total = of_images + sum(self.variances)
        parts = [of_images**2 / max(n_groups - 1, 1)]
        parts += [v**2 / freedom for v, freedom in zip(self.variances, self.freedoms, strict=True)]
        return np.sqrt(total), total**2 / sum(parts) if sum(parts) > 0 else np.inf


def compare(
    a: np.ndarray,
    b: np.ndarray,
    bootstrap: GroupBootstrap,
    trained: tuple[bool, bool] = (True, True),
    margin: float | None = None,
) -> Comparison:
    """Compare two experiments by their scores in [0, 1], (N,) or (S, N) of S seeds, on the images of ``bootstrap``.

    Images that are NaN in either are left out. Each of these tests must reject, on the same side (an intersection-union
    test; Berger, Technometrics 24, 1982), and ``p`` is twice the largest of their one-sided p values on the side where
    that is less:

    - Wilcoxon's signed rank test on the groups' mean differences, zeros ranked and then left out (Pratt, Journal of the
      American Statistical Association 54, 1959): a group is one observation, however many images it has;
    - the studentised bootstrap of the mean difference. Wilcoxon's test alone also rejects equal means whose differences
      are skewed, and may favour the worse mean;
    - if both sides have several seeds, a t test whose error holds the variance between the trainings of each side.
      ``trained``: a method that is not trained has none;
    - if fewer than FEW_GROUPS groups differ, and nearly all one way: the worst-case bound of the mean difference. A
      failure in one group of ten may be in none of them, and turn the difference round.

    With ``margin`` (share), the test that b is not worse than a by so much takes the mean's tests, against -margin: the
    bootstrap, the worst-case bound, and the one with the trainings. Equal scores are evidence there.
    """
    a, b = np.atleast_2d(a), np.atleast_2d(b)
    differences = a.mean(axis=0) - b.mean(axis=0)
    both = ~np.isnan(differences)
    sums, sizes = bootstrap.totals(differences)
    n_groups, n_differ = int((sizes > 0).sum()), count_different(sums, sizes)
    if n_groups == 0:
        return Comparison(0, 0, 0, 0, len(a), len(b), 0.0, *[np.nan] * 12)
    mean, of_groups = bootstrap.studentised(sums, sizes), group_means(sums, sizes)
    chance = _training_chance(a[:, both], b[:, both], trained)
    tests: dict[str, tuple[float, float] | None] = {
        "wilcoxon": _signed_rank_test(of_groups),
        "mean": mean.p_values(),
    }
    tests["seeds"] = _t_test(mean, chance, n_groups) if chance else None
    lacks_failures = n_differ < FEW_GROUPS and bool(is_one_sided(of_groups))
    tests["worst"] = bootstrap.worst_case(sums, sizes).p_values(-1, 1) if lacks_failures else None
    applied = [p for p in tests.values() if p is not None]
    mean_a, mean_b = float(a[:, both].mean()), float(b[:, both].mean())
    low, high = bootstrap.difference_interval(differences)
    if chance:
        low, high = _widen(low, high, mean, chance, n_groups)
    return Comparison(
        n_images=int(both.sum()),
        n_groups=n_groups,
        n_images_differ=int(np.count_nonzero(differences[both].round(12))),
        n_groups_differ=n_differ,
        n_seeds_a=len(a),
        n_seeds_b=len(b),
        mean_a=mean_a,
        mean_b=mean_b,
        difference=mean_a - mean_b,
        low=low,
        high=high,
        p_wilcoxon=_two_sided(tests["wilcoxon"]),
        p_mean=_two_sided(tests["mean"]),
        p_seeds=_two_sided(tests["seeds"]),
        p_worst_case=_two_sided(tests["worst"]),
        p=_two_sided(np.max(applied, axis=0)),
        p_not_worse=np.nan if margin is None else _test_not_worse(sums, sizes, bootstrap, chance, margin),
        smallest_p=2 / (1 + len(mean.ratios)),
        training_variance=sum(chance.variances) if chance else 0.0,
    )


def is_one_sided(differences: np.ndarray) -> np.ndarray:
    """Whether groups' differences, (..., G), of one side amount to less than ONE_SIDED of the other: (...)."""
    sides = np.stack([np.maximum(sign * differences, 0).sum(axis=-1) for sign in (1, -1)])
    return sides.min(axis=0) < ONE_SIDED * sides.max(axis=0)


def _signed_rank_test(differences: np.ndarray) -> tuple[float, float]:
    """One-sided p values of Wilcoxon's test against smaller and against greater differences, (G,), than 0."""
    if not differences.any():
        return 1.0, 1.0
    less, greater = (wilcoxon(differences, zero_method="pratt", alternative=side) for side in ("less", "greater"))
    return float(less.pvalue), float(greater.pvalue)


def _training_chance(a: np.ndarray, b: np.ndarray, trained: tuple[bool, bool]) -> TrainingChance | None:
    """Chance of training in the scores (S, N) of both sides; None if one was trained once, or none was trained."""
    sides = [scores for scores, is_trained in zip((a, b), trained, strict=True) if is_trained]
    if not sides or min(map(len, sides)) < 2:
        return None
    variances = tuple(float(scores.mean(axis=1).var(ddof=1)) / len(scores) for scores in sides)
    return TrainingChance(variances, tuple(len(scores) - 1 for scores in sides))


def _t_test(mean: StudentisedMean, chance: TrainingChance, n_groups: int, null: float = 0) -> tuple[float, float]:
    """One-sided p values of the true mean being ``null``, with the variance of training."""
    error, freedom = chance.test(mean, n_groups)
    if not error > 0:
        return (1.0, 1.0) if mean.mean == null else mean.p_values(null)
    ratio = (mean.mean - null) / error
    return float(student.cdf(ratio, freedom)), float(student.sf(ratio, freedom))


def _widen(
    low: float, high: float, mean: StudentisedMean, chance: TrainingChance, n_groups: int
) -> tuple[float, float]:
    """The interval of the images, or that with the variance of training where it is wider."""
    error, freedom = chance.test(mean, n_groups)
    reach = student.ppf(TAILS[1], freedom) * error
    return max(min(low, mean.mean - reach), -1.0), min(max(high, mean.mean + reach), 1.0)


def _test_not_worse(
    sums: np.ndarray, sizes: np.ndarray, bootstrap: GroupBootstrap, chance: TrainingChance | None, margin: float
) -> float:
    """One-sided p of b being worse than a by ``margin`` or more; ``sums`` are of a - b."""
    n_groups = int((sizes > 0).sum())
    if n_groups < FEWEST_GROUPS:
        return np.nan
    mean = bootstrap.studentised(sums, sizes)
    p_values = [mean.p_values(margin)[0], bootstrap.worst_case(sums, sizes).p_values(-1, 1, margin)[0]]
    if chance:
        p_values.append(_t_test(mean, chance, n_groups, margin)[0])
    return float(max(p_values))


def _two_sided(p: Sequence[float] | None) -> float:
    return np.nan if p is None else float(np.minimum(2 * np.min(p), 1))


def judge(comparisons: Sequence[Comparison]) -> list[Verdict]:
    """Correct the p values of a declared set of comparisons after Holm (1979) and decide on the claims.

    All tests of difference, and of being not worse by a margin, are corrected together. A claim of difference needs a
    corrected p below ALPHA; then all tests point to the same side and the interval excludes 0. With fewer than
    FEWEST_GROUPS groups, or groups that differ, nothing is claimed.
    """
    p = np.array([[c.p, c.p_not_worse] for c in comparisons], dtype=float).reshape(len(comparisons), 2)
    corrected = holm(p.ravel()).reshape(p.shape)
    return [_verdict(c, float(q), float(r)) for c, (q, r) in zip(comparisons, corrected, strict=True)]


def holm(p: np.ndarray) -> np.ndarray:
    """Correct p values, (M,) float, for being M: S. Holm, Scandinavian Journal of Statistics 6, 1979. NaN stays NaN.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none falls below the one before it.
    """
    order = np.argsort(p, kind="stable")  # NaN last
    remaining = np.count_nonzero(~np.isnan(p)) - np.arange(len(p))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * remaining), 1)
    return corrected


def _verdict(comparison: Comparison, p_holm: float, p_not_worse: float) -> Verdict:
    at_limit = comparison.p <= comparison.smallest_p
    return Verdict(p_holm, *_claim(comparison, p_holm), p_not_worse, bool(at_limit))


def _claim(c: Comparison, p_holm: float) -> tuple[str, str]:
    if c.n_groups < FEWEST_GROUPS:
        return TOO_FEW, f"{c.n_groups} groups; at least {FEWEST_GROUPS} are needed"
    if c.n_images_differ == 0:
        return IDENTICAL, "equal on every image"
    if c.n_groups_differ < FEWEST_GROUPS:
        return TOO_FEW, f"{c.n_groups_differ} of {c.n_groups} groups differ; at least {FEWEST_GROUPS} are needed"
    if p_holm < ALPHA:
        return A_BETTER if c.difference > 0 else B_BETTER, f"Holm p < {ALPHA} and the interval excludes 0"
    reason = f"Holm p ≥ {ALPHA}"
    if c.low <= 0 <= c.high:
        reason += ", interval includes 0"
    elif c.p == c.p_worst_case:
        reason += (
            f": the {c.n_groups_differ} groups that differ point one way, but they are fewer than {FEW_GROUPS} and may "
            "lack a rare failure"
        )
    elif c.p > np.nanmax([c.p_wilcoxon, c.p_mean, c.p_seeds]):
        reason += ": ranks and interval point to different sides"
    return NO_CLAIM, reason

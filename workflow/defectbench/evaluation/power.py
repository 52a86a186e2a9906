"""What a test could have shown: the smallest difference on these test images, and the images that a difference takes.

Both resample the study's own groups of paired differences through the tests of :mod:`statistics`, of which the
bootstrap of the mean is replaced by the t test that it refines: the same, but for the skewness of the sample.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, wilcoxon
from scipy.stats import t as student

from defectbench.evaluation.intervals import FEWEST_GROUPS, GroupBootstrap
from defectbench.evaluation.statistics import ALPHA, FEW_GROUPS, is_one_sided

POWER = 0.8
"""Share of studies in which the difference would be shown"""
MOST_TIMES = 10
"""Times the test images, beyond which nothing is predicted from them"""
SEED = 42
_RESAMPLES = 200
_STEPS = 10  # bisections


@dataclass(frozen=True)
class Study:
    """Paired differences by group, whose resamples are further studies."""

    sums: np.ndarray
    """(G,)"""
    sizes: np.ndarray
    """(G,): images with a difference, at least 1"""
    level: float
    """Of the two-sided test, corrected for the number of comparisons"""
    training_variance: float
    """Of the mean difference, due to training: more images do not lessen it"""

    @classmethod
    def of(
        cls,
        a: np.ndarray,
        b: np.ndarray,
        bootstrap: GroupBootstrap,
        n_comparisons: int = 1,
        training_variance: float = 0.0,
    ) -> "Study":
        """The study of scores (N,) of two experiments, one of ``n_comparisons`` that are corrected together.

        The level is that of Bonferroni, by which Holm's correction begins: with it, the difference is shown whatever
        the other comparisons show.
        """
        sums, sizes = bootstrap.totals(a - b)
        present = sizes > 0
        return cls(sums[present], sizes[present].astype(float), ALPHA / max(n_comparisons, 1), training_variance)

    @property
    def difference(self) -> float:
        """Mean difference of the images."""
        return float(self.sums.sum() / self.sizes.sum())

    def shifted(self, difference: float) -> "Study":
        """The same with another mean difference, of which groups that do not differ have no part."""
        differ = self.sums.round(12) != 0
        shift = (difference - self.difference) * self.sizes.sum() / self.sizes[differ].sum()
        return Study(self.sums + shift * self.sizes * differ, self.sizes, self.level, self.training_variance)

    def power(self, n_groups: int) -> float:
        """Share of studies of ``n_groups`` groups like these in which the difference is shown, on its own side."""
        rng = np.random.default_rng(SEED)
        drawn = rng.integers(len(self.sums), size=(_RESAMPLES, n_groups))
        sums, sizes = self.sums[drawn], self.sizes[drawn]
        total = sizes.sum(axis=1)
        means = sums.sum(axis=1) / total
        squares = ((sums - means[:, None] * sizes) ** 2).sum(axis=1) * n_groups / (n_groups - 1)
        errors = np.sqrt(squares / total**2 + self.training_variance)
        side = np.sign(self.difference)
        with np.errstate(divide="ignore", invalid="ignore"):
            by_mean = side * means / errors > student.isf(self.level / 2, n_groups - 1)
        groups = (side * sums / sizes).round(12)
        by_ranks = wilcoxon(groups, zero_method="pratt", alternative="greater", method="asymptotic", axis=1).pvalue
        shown = by_mean & (by_ranks < self.level / 2) & _enough_groups(groups, self.level)
        return float(shown.mean())


def _enough_groups(groups: np.ndarray, level: float) -> np.ndarray:
    """Whether each study, (R, G) differences by group, has enough groups that differ, as judge and compare ask."""
    n_groups, n_differ = groups.shape[1], np.count_nonzero(groups, axis=1)
    # The worst-case bound: its unseen group has a weight of Beta(1, n), beside the error of the mean.
    means, errors = groups.mean(axis=1), groups.std(axis=1, ddof=1) / np.sqrt(n_groups)
    unseen = 1 - (level / 2) ** (1 / n_groups)
    survives = means > np.hypot(unseen * (1 + means), norm.isf(level / 2) * errors)
    return (n_differ >= FEWEST_GROUPS) & ((n_differ >= FEW_GROUPS) | ~is_one_sided(groups) | survives)


def smallest_difference(study: Study) -> float:
    """The smallest mean difference, a share, that studies of as many groups show with POWER; NaN if too few differ."""
    n_groups, largest = len(study.sums), 1.0
    if np.count_nonzero(study.sums.round(12)) < FEWEST_GROUPS or study.shifted(largest).power(n_groups) < POWER:
        return np.nan
    low, high = 0.0, largest
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if study.shifted(middle).power(n_groups) >= POWER else (middle, high)
    return high


def groups_needed(study: Study) -> float:
    """Groups with which the study's own mean difference is shown with POWER; NaN if not within MOST_TIMES as many."""
    n_groups = len(study.sums)
    if n_groups < 2 or study.difference == 0 or study.power(MOST_TIMES * n_groups) < POWER:
        return np.nan
    low, high = np.log(0.1), np.log(MOST_TIMES)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        enough = study.power(max(round(np.exp(middle) * n_groups), 2)) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return float(np.exp(high) * n_groups)

"""Confidence intervals of means and ratios over images that come in groups.

Two methods, both over whole groups, each right where the other fails:

- the *worst-case bound* (Gaffke 2005; Learned-Miller and Thomas, arXiv:1905.06208): a Bayesian bootstrap of the groups
  and one more group that has the worst, or best, possible value. It covers where the scores of all groups are equal or
  nearly so, as near 0 and 1, and is the interval of Clopper and Pearson (1934) for values of 0 and 1;
- the *studentised bootstrap* (bootstrap-t; Efron 1981; DiCiccio and Efron, Statistical Science 11, 1996, section 4),
  with the linearised standard error of a ratio of sums (Cochran, Sampling Techniques, 1977, section 6.3). It covers
  where groups are of very unequal size, and is not tied to a range.

docs/statistics.md has the coverage of both, by simulation.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import t as student

LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
FEWEST_GROUPS = 20
"""Groups, or groups that differ, below which nothing is tested"""


def effective_groups(sizes: np.ndarray) -> float:
    """Effective number of groups of ``sizes``, (G,), images: (sum n)²/sum n² (Kish, Survey Sampling, 1965).

    It is the number of groups if all have the same size, and near 1 if one holds most images.
    """
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.any() else 0.0


class GroupBootstrap:
    """Draws of groups, the same for everything measured with it.

    Images of one group resemble each other, so they are drawn together: drawing images one by one would count the
    same evidence several times. Metrics are means over images, so in a draw they are ratios of sums over groups.
    """

    def __init__(self, groups: np.ndarray, draws: int, seed: int) -> None:
        """Draw from ``groups``, (N,): the group of each image. The order of images does not matter to the draws."""
        names, self.group_of = np.unique(groups, return_inverse=True)
        self.n_groups = len(names)
        self._draws, self._seed = draws, seed

    @cached_property
    def counts(self) -> np.ndarray:
        """How often a draw with replacement, as large as the sample, holds a group: (draws, n_groups)."""
        shares = np.full(self.n_groups, 1 / self.n_groups)
        rng = np.random.default_rng(self._seed)
        return rng.multinomial(self.n_groups, shares, size=self._draws).astype(float)

    @cached_property
    def weights(self) -> np.ndarray:
        """Weights of a Bayesian bootstrap (Rubin 1981), not normalised, first of an unseen group: (draws, 1 + G)."""
        return np.random.default_rng([self._seed, 1]).standard_exponential((self._draws, 1 + self.n_groups))

    def group_sums(self, values: np.ndarray) -> np.ndarray:
        """Sums of ``values``, (N,) float without NaN, over the images of each group: (n_groups,)."""
        return np.bincount(self.group_of, values, self.n_groups)

    def totals(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sum and number of the ``values``, (N,) float, of each group, without NaN: both (n_groups,)."""
        counted = ~np.isnan(values)
        return self.group_sums(np.where(counted, values, 0.0)), self.group_sums(counted)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean of ``values``, (N,) float, in each draw, without NaN: (draws,); NaN where a draw holds no value."""
        return _ratio(*(self.counts @ total for total in self.totals(values)))

    def interval(self, values: np.ndarray, lowest: float = 0, highest: float = 1) -> tuple[float, float]:
        """Interval of the mean over images of ``values``, (N,) float, each in [lowest, highest]; NaN: left out."""
        return self._interval(*self.totals(values), lowest, highest)

    def ratio_interval(self, numerators: np.ndarray, denominators: np.ndarray) -> tuple[float, float]:
        """Interval of sum(numerators)/sum(denominators), both (N,), each numerator part of its denominator."""
        return self._interval(self.group_sums(numerators), self.group_sums(denominators), 0, 1)

    def difference_interval(self, differences: np.ndarray, largest: float = 1) -> tuple[float, float]:
        """Interval of the mean of paired ``differences``, (N,) float in [-largest, largest]; NaN: left out.

        It is the studentised bootstrap's, which tests use too, but no wider than the worst-case bound, as it may be
        where few groups differ. Below FEWEST_GROUPS it cannot know what rarely happens, and the bound stands alone.
        """
        sums, sizes = self.totals(differences)
        low, high = self.worst_case(sums, sizes).interval(-largest, largest)
        if count_different(sums, sizes) < FEWEST_GROUPS:
            return low, high
        first, last = self.studentised(sums, sizes).interval(-largest, largest)
        return max(low, first), min(high, last)

    def _interval(self, sums: np.ndarray, sizes: np.ndarray, lowest: float, highest: float) -> tuple[float, float]:
        low, high = self.worst_case(sums, sizes).interval(lowest, highest)
        # The Bayesian bootstrap has too little spread where few groups hold most of the sum.
        if effective_groups(sizes) < np.count_nonzero(sizes) / 2:
            first, last = self.studentised(sums, sizes).interval(lowest, highest)
            low, high = np.fmin(low, first), np.fmax(high, last)
        return float(low), float(high)

    def worst_case(self, sums: np.ndarray, sizes: np.ndarray) -> "WorstCase":
        """Ratio sum(sums)/sum(sizes), each (n_groups,), if an unseen group of mean size had an extreme value."""
        present = sizes > 0
        weights = self.weights[:, 1:]
        if not present.any():
            return WorstCase(np.array([np.nan]), np.array([np.nan]), np.array([np.nan]))
        return WorstCase(weights @ sums, weights @ sizes, self.weights[:, 0] * sizes[present].mean())

    def studentised(self, sums: np.ndarray, sizes: np.ndarray) -> "StudentisedMean":
        """Ratio sum(sums)/sum(sizes), each (n_groups,), with those of the draws in standard errors.

        Where too many draws have no spread to divide by, quantiles of Student's t replace theirs.
        """
        n = int((sizes > 0).sum())
        if n < 2:
            return StudentisedMean(np.nan, np.nan, np.array([np.nan]))
        mean, error = _ratio(sums.sum(), sizes.sum()), _error(sums, sizes)
        products = np.column_stack([sums, sizes, sums**2, sums * sizes, sizes**2])
        drawn_sums, drawn_sizes, *moments = (self.counts @ products).T
        means = _ratio(drawn_sums, drawn_sizes)
        # The sum of (sums - means sizes)² over the groups of a draw.
        squares = moments[0] - 2 * means * moments[1] + means**2 * moments[2]
        errors = _ratio(np.sqrt(np.maximum(squares, 0) * n / (n - 1)), drawn_sizes)
        usable = ~np.isnan(means)
        ratios = _ratios((means - mean)[usable], errors[usable])
        if np.isinf(_tails(ratios)).any():
            ratios = student.ppf(np.arange(1, len(ratios) + 1) / (len(ratios) + 1), n - 1)
        return StudentisedMean(float(mean), error, ratios)


@dataclass(frozen=True)
class WorstCase:
    """Draws of a ratio of sums to which one group is added that nobody has seen; NaN without any group."""

    sums: np.ndarray
    """(draws,)"""
    sizes: np.ndarray
    """(draws,)"""
    unseen: np.ndarray
    """(draws,): size of the unseen group"""

    def means(self, extreme: float) -> np.ndarray:
        """The ratio in each draw, (draws,), if the value of the unseen group is ``extreme``."""
        return (self.sums + self.unseen * extreme) / (self.sizes + self.unseen)

    def interval(self, lowest: float, highest: float) -> tuple[float, float]:
        """Interval of a mean of values in [lowest, highest]."""
        low = np.quantile(self.means(lowest), TAILS[0], method="lower")
        high = np.quantile(self.means(highest), TAILS[1], method="higher")
        return float(low), float(high)

    def p_values(self, lowest: float, highest: float, null: float = 0) -> tuple[float, float]:
        """One-sided p values of the true mean being ``null``: against below it, and against above."""
        below, above = (self.means(highest) >= null).sum(), (self.means(lowest) <= null).sum()
        n = len(self.sums)
        return float(1 + below) / (1 + n), float(1 + above) / (1 + n)


@dataclass(frozen=True)
class StudentisedMean:
    """A mean and its bootstrap distribution; NaN with fewer than two groups."""

    mean: float
    error: float
    ratios: np.ndarray
    """(mean of a draw - mean)/(standard error of the draw), (draws,)"""

    def interval(self, lowest: float, highest: float) -> tuple[float, float]:
        """Interval of a mean of values in [lowest, highest]."""
        low, high = _tails(self.ratios)
        lower, upper = np.clip((self.mean - high * self.error, self.mean - low * self.error), lowest, highest)
        return float(lower), float(upper)

    def p_values(self, null: float = 0) -> tuple[float, float]:
        """One-sided p values of the true mean being ``null``: against below it, and against above.

        A p counts the draws at least as far off and the sample itself (Davison and Hinkley, Bootstrap Methods and
        Their Application, 1997, section 4.4), so none is below 1/(draws + 1). If one for 0 is below 0.025, the interval
        excludes 0.
        """
        if np.isnan(self.error):
            return np.nan, np.nan
        ratio = _ratios(np.array([self.mean - null]), np.array([self.error]))
        below, above = (self.ratios <= ratio).sum(), (self.ratios >= ratio).sum()
        return float(1 + below) / (1 + len(self.ratios)), float(1 + above) / (1 + len(self.ratios))


def group_means(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Mean of each group with a value, (at most n_groups,), without the traces of rounding that hide equal scores."""
    present = sizes > 0
    return (sums[present] / sizes[present]).round(12)


def count_different(sums: np.ndarray, sizes: np.ndarray) -> int:
    """Number of groups whose mean difference is not 0."""
    return int(np.count_nonzero(group_means(sums, sizes)))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    missing = np.full(np.shape(denominator), np.nan)
    return np.divide(numerator, denominator, out=missing, where=np.asarray(denominator) > 0)


def _error(sums: np.ndarray, sizes: np.ndarray) -> float:
    """Standard error of sum(sums)/sum(sizes) over the groups that have a value."""
    n = (sizes > 0).sum()
    residuals = sums - sums.sum() / sizes.sum() * sizes
    return float(np.sqrt((residuals**2).sum() * n / (n - 1)) / sizes.sum())


def _ratios(off: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """off/errors, (M,); 0 or infinite without an error.

    Where all values are the same, rounding leaves traces: of an error, the root of those of a square.
    """
    off, errors = np.where(np.abs(off) < 1e-12, 0, off), np.where(errors < 1e-7, 0, errors)
    return np.divide(off, errors, out=np.where(off == 0, 0.0, np.copysign(np.inf, off)), where=errors > 0)


def _tails(ratios: np.ndarray) -> tuple[float, float]:
    """The quantiles that TAILS cuts off, both taken outwards."""
    return np.quantile(ratios, TAILS[0], method="lower"), np.quantile(ratios, TAILS[1], method="higher")

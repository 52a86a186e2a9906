"""Confidence intervals of means over images that come in groups: a bootstrap of whole groups."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


class GroupBootstrap:
    """Draws of groups with replacement, each as large as the sample; the same for everything measured with it.

    Images of one group resemble each other, so they are drawn together: drawing images one by one would count the
    same evidence several times. Metrics are means over images, so in a draw they are ratios of sums over groups.
    """

    def __init__(self, groups: np.ndarray, draws: int, seed: int) -> None:
        """Draw from ``groups``, (N,): the group of each image. The order of images does not matter to the draws."""
        names, self.group_of = np.unique(groups, return_inverse=True)
        self.n_groups = len(names)
        shares = np.full(self.n_groups, 1 / self.n_groups)
        self.counts = np.random.default_rng(seed).multinomial(self.n_groups, shares, size=draws).astype(float)
        """(draws, n_groups): how often a draw holds a group"""

    def totals(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sum and number of the ``values``, (N,) float, of each group, without NaN: both (n_groups,)."""
        counted = ~np.isnan(values)
        sums = np.bincount(self.group_of, np.where(counted, values, 0.0), self.n_groups)
        return sums, np.bincount(self.group_of, counted, self.n_groups)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean of ``values``, (N,) float, in each draw, without NaN: (draws,); NaN where a draw holds no value."""
        return self._ratio(*(self.counts @ total for total in self.totals(values)))

    def interval(self, values: np.ndarray, lowest: float, highest: float) -> tuple[float, float]:
        """Interval of the mean over images of ``values``, (N,) float, each in [lowest, highest]; NaN: left out."""
        return self.studentised(values).interval(lowest, highest)

    def studentised(self, values: np.ndarray) -> "StudentisedMean":
        """Mean over images of ``values``, (N,) float, without NaN, with the means of the draws in standard errors.

        Studentised (bootstrap-t; Efron 1981; DiCiccio and Efron, Statistical Science 11, 1996, section 4), with the
        linearised standard error of a ratio of sums (Cochran, Sampling Techniques, 1977, section 6.3). Where too many
        draws have no spread to divide by, quantiles of Student's t replace theirs.
        """
        sums, sizes = self.totals(values)
        n = int((sizes > 0).sum())
        if n < 2:
            return StudentisedMean(np.nan, np.nan, np.array([np.nan]))
        mean, error = self._ratio(sums.sum(), sizes.sum()), _error(sums, sizes)
        products = np.column_stack([sums, sizes, sums**2, sums * sizes, sizes**2])
        drawn_sums, drawn_sizes, *moments = (self.counts @ products).T
        means = self._ratio(drawn_sums, drawn_sizes)
        # The sum of (sums - means sizes)² over the groups of a draw.
        squares = moments[0] - 2 * means * moments[1] + means**2 * moments[2]
        errors = self._ratio(np.sqrt(np.maximum(squares, 0) * n / (n - 1)), drawn_sizes)
        usable = ~np.isnan(means)
        ratios = _ratios((means - mean)[usable], errors[usable])
        if np.isinf(_tails(ratios)).any():
            ratios = student.ppf(np.arange(1, len(ratios) + 1) / (len(ratios) + 1), n - 1)
        return StudentisedMean(float(mean), error, ratios)

    @staticmethod
    def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
        return np.divide(
            numerator, denominator, out=np.full(np.shape(denominator), np.nan), where=np.asarray(denominator) > 0
        )


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

    def p_values(self) -> tuple[float, float]:
        """One-sided p values of the true mean being 0: against below 0, and against above.

        A p counts the draws at least as far off and the sample itself (Davison and Hinkley, Bootstrap Methods and
        Their Application, 1997, section 4.4), so none is below 1/(draws + 1). If one is below 0.025, the interval
        excludes 0.
        """
        if np.isnan(self.error):
            return np.nan, np.nan
        ratio = _ratios(np.array([self.mean]), np.array([self.error]))
        below, above = (self.ratios <= ratio).sum(), (self.ratios >= ratio).sum()
        return float(1 + below) / (1 + len(self.ratios)), float(1 + above) / (1 + len(self.ratios))


def _error(sums: np.ndarray, sizes: np.ndarray) -> float:
    """Standard error of sum(sums)/sum(sizes) over the groups that have a value."""
    n = (sizes > 0).sum()
    residuals = sums - sums.sum() / sizes.sum() * sizes
    return float(np.sqrt((residuals**2).sum() * n / (n - 1)) / sizes.sum())


def _ratios(off: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """off/errors, (M,); 0 or infinite without an error. Rounding leaves traces where all values are the same."""
    off, errors = np.where(np.abs(off) < 1e-12, 0, off), np.where(errors < 1e-9, 0, errors)
    return np.divide(off, errors, out=np.where(off == 0, 0.0, np.copysign(np.inf, off)), where=errors > 0)


def _tails(ratios: np.ndarray) -> tuple[float, float]:
    """The quantiles that TAILS cuts off, both taken outwards."""
    return np.quantile(ratios, TAILS[0], method="lower"), np.quantile(ratios, TAILS[1], method="higher")

"""Power laws of error against labels: a fit per model, its band, and the number of labels that is nearly enough.

A law is *tested* if every number of labels was trained with at least two seeds, on 20 groups of test images. Then its
exponent has a standard error of two parts: the scatter of the trainings around the law, and the test images. With a
single training at a number of labels the chance of training cannot be distinguished from an effect of the labels: such
a law is described, no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from defectbench.evaluation.image_scores import PRIMARY, read_image_scores
from defectbench.evaluation.intervals import TAILS, GroupBootstrap
from defectbench.evaluation.statistics import ALPHA, FEWEST_GROUPS, holm
from defectbench.reporting import words
from defectbench.reporting.records import Record

ENOUGH = 0.95  # of the fitted score with all labels
FEWEST_SIZES = 3  # with two a power law fits any scores
FEWEST_SEEDS = 2  # at every number of labels
POINTS = 40  # of a curve
FITS = {
    "track": "str",
    "metric": "str",
    "series": "str",  # trainings that differ only in their number of labels and seed
    "label": "str",
    "n_sizes": "Int64",
    "n_trainings": "Int64",
    "n_least": "Int64",
    "n_full": "Int64",
    "factor": "float64",  # 1 - score = factor · n^-exponent
    "exponent": "float64",
    "tested": "bool",  # what follows is null if not
    "exponent_lo": "float64",
    "exponent_hi": "float64",
    "p": "float64",  # two-sided, of exponent 0
    "p_holm": "float64",  # corrected over the tested laws of the study
    "residual": "float64",  # largest distance of a mean over seeds from the fit; of described laws too
    "n_enough": "float64",  # labels for 95 % of the fitted score at n_full
    "n_enough_lo": "float64",
    "n_enough_hi": "float64",
}
CURVES = ("series", "n_labels", "score", "score_lo", "score_hi")


@dataclass(frozen=True)
class Law:
    """1 - score = factor · n^-exponent, each (...,)."""

    factor: np.ndarray
    exponent: np.ndarray

    def score(self, n: np.ndarray) -> np.ndarray:
        """Scores (..., K) at ``n`` (K,) labels."""
        return 1 - self.factor[..., None] * np.asarray(n, float) ** -self.exponent[..., None]

    def enough(self, n_full: int, least: int) -> np.ndarray:
        """Labels (...,) at which the score is ENOUGH of the score with ``n_full``; NaN outside [least, n_full].

        Outside the range of the trainings the law would be extrapolated.
        """
        error = 1 - ENOUGH * self.score(np.array([n_full]))[..., 0]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            n = (self.factor / error) ** (1 / self.exponent)
        return np.where((n >= least) & (n <= n_full), n, np.nan)


def fit_law(n: np.ndarray, scores: np.ndarray) -> Law:
    """Least-squares fit of log(1 - score) on log(n), for ``scores`` (..., K) in [0, 1) at ``n`` (K,) labels."""
    x = np.log(np.asarray(n, float))
    y = _log_error(scores)
    x = x - (centre := x.mean())
    slope = (y * x).sum(axis=-1) / (x * x).sum()
    return Law(np.exp(y.mean(axis=-1) - slope * centre), -slope)


@dataclass(frozen=True)
class Fit:
    """The law of a series of trainings and what is known of its exponent; all but the law NaN if it is not tested."""

    law: Law
    tested: bool
    error: float
    """standard error of the exponent"""
    df: int
    """degrees of freedom of the error"""
    draws: Law
    """laws that trainings and images may come from, each (draws,)"""

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the exponent."""
        half = student.ppf(TAILS[1], self.df) * self.error
        return float(self.law.exponent - half), float(self.law.exponent + half)

    @property
    def p(self) -> float:
        """Two-sided p value of exponent 0; 1 where all trainings score alike."""
        if abs(self.law.exponent) < 1e-9:  # rounding is all that is left of equal scores
            return 1.0
        return float(2 * student.sf(abs(self.law.exponent) / self.error, self.df))


def fit_trainings(n: np.ndarray, scores: np.ndarray, bootstrap: GroupBootstrap, seed: int) -> Fit:
    """Fit the law of T trainings with ``n`` (T,) labels, of whose test images ``scores`` (T, N) are the scores.

    The variance of the exponent is that over draws of groups of images, plus that of a regression line's slope by the
    chance of training: what follows from the residuals, less what follows from the images' part in them over the same
    draws. ``seed`` is that of the draws of laws, whose coefficients have Student's t distribution with T - 2 degrees of
    freedom.
    """
    law = fit_law(n, np.nanmean(scores, axis=1))
    df = len(n) - 2
    fewest_seeds = np.unique(n, return_counts=True)[1].min()
    if fewest_seeds < FEWEST_SEEDS or bootstrap.n_groups < FEWEST_GROUPS:
        return Fit(law, False, np.nan, df, Law(np.array([np.nan]), np.array([np.nan])))
    x = np.log(n) - np.log(n).mean()
    drawn = np.column_stack([bootstrap.means(row) for row in scores])
    of_images = fit_law(n, drawn)
    residuals = _log_error(np.nanmean(scores, axis=1)) - _log_error(law.score(n))
    moved = _log_error(drawn) - _log_error(of_images.score(n)) - residuals
    # What remains of the variance around the law when that of the images is taken off is the chance of training.
    level, slope = np.sqrt(np.maximum(_variances(x, residuals) - np.nanmean(_variances(x, moved), axis=1), 0))
    error = float(np.hypot(slope, np.nanstd(of_images.exponent, ddof=1)))
    level, slope = np.array([[level], [slope]]) * np.random.default_rng(seed).standard_t(df, (2, len(drawn)))
    draws = Law(of_images.factor * np.exp(level + slope * np.log(n).mean()), of_images.exponent + slope)
    return Fit(law, True, error, df, draws)


def _variances(x: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """Variances of level and slope, (2, ...), of a line with ``residuals`` (..., T) at centred ``x`` (T,).

    That of the slope is the larger one of the usual and of HC3 (MacKinnon and White, Journal of Econometrics 29, 1985),
    which holds if few labels scatter more than many.
    """
    n, spread = len(x), (x**2).sum()
    common = (residuals**2).sum(axis=-1) / (n - 2)
    leverage = 1 / n + x**2 / spread
    hc3 = (x**2 * (residuals / (1 - leverage)) ** 2).sum(axis=-1) / spread**2
    return np.array([common / n, np.maximum(common / spread, hc3)])


def _log_error(scores: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(1 - np.asarray(scores, float), 1e-6))


def fit_series(
    results: pd.DataFrame, records: Sequence[Record], draws: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit every series of ``results`` that was trained on at least FEWEST_SIZES numbers of labels.

    Intervals and p values are those of :func:`fit_trainings`. Returns the tables FITS and CURVES.
    """
    by_id = {record.exp_id: record for record in records}
    rows = pd.concat([words.label_rows(results, track, PRIMARY[track]) for track in ("automatic", "oracle")])
    fits, curves = [], []
    for name, trainings in rows.groupby("series", sort=False):
        members = [by_id[exp_id] for exp_id in trainings["exp_id"] if by_id[exp_id].row["n_labels_train"]]
        labels = np.array([record.row["n_labels_train"] for record in members])
        if len(np.unique(labels)) < FEWEST_SIZES:
            continue
        metric = PRIMARY[members[0].row["track"]]
        tables = [read_image_scores(record.folder, record.row["policy"]) for record in members]
        scores = np.stack([table[metric].to_numpy() for table in tables])
        bootstrap = GroupBootstrap(tables[0]["group"].to_numpy(str), draws, seed)
        fit = fit_trainings(labels, scores, bootstrap, seed)
        n = np.geomspace(labels.min(), labels.max(), POINTS)
        bounds = np.quantile(fit.draws.score(n), TAILS, axis=0)
        curves += [(name, *row) for row in zip(n, fit.law.score(n), *bounds, strict=True)]
        own = {"track": members[0].row["track"], "metric": metric, "series": name}
        own["label"] = trainings["series_label"].iloc[0]
        fits.append(own | _fit_row(fit, labels, np.nanmean(scores, axis=1)))
    table = pd.DataFrame({name: pd.Series([row.get(name) for row in fits], dtype=kind) for name, kind in FITS.items()})
    table["p_holm"] = holm(table["p"].to_numpy())
    return table, pd.DataFrame(curves, columns=list(CURVES))


def _fit_row(fit: Fit, labels: np.ndarray, means: np.ndarray) -> dict[str, float]:
    """Columns of FITS that follow from a fit of trainings with ``labels`` and mean scores ``means``, both (T,)."""
    least, full = int(labels.min()), int(labels.max())
    off = [means[labels == n].mean() - fit.law.score(np.array([n]))[0] for n in np.unique(labels)]
    row = {
        "n_sizes": len(off),
        "n_trainings": len(labels),
        "n_least": least,
        "n_full": full,
        "factor": float(fit.law.factor),
        "exponent": float(fit.law.exponent),
        "tested": fit.tested,
        "residual": float(np.abs(off).max()),
    }
    if not fit.tested:
        return row
    enough = dict(zip(("n_enough_lo", "n_enough_hi"), _interval(fit.draws.enough(full, least)), strict=True))
    exponents = dict(zip(("exponent_lo", "exponent_hi"), fit.interval, strict=True))
    return row | exponents | {"p": fit.p, "n_enough": float(fit.law.enough(full, least))} | enough


def _interval(resampled: np.ndarray) -> tuple[float, float]:
    """Percentiles, if the answer is within the range of the trainings in nearly every bootstrap sample."""
    known = resampled[~np.isnan(resampled)]
    if len(known) < 0.95 * len(resampled):
        return np.nan, np.nan
    low, high = np.quantile(known, TAILS)
    return float(low), float(high)


def is_shown(row: dict) -> bool:
    """Whether the test of a row of FITS shows that more labels help."""
    return bool(row["tested"] and row["exponent"] > 0 and row["p_holm"] < ALPHA)


def law_sentence(row: dict) -> str:
    """One row of FITS in words; that more labels help is claimed only where a test shows it."""
    law = (
        f"{row['label']}: 1 − {row['metric']} fitted by c · n^−b to {row['n_trainings']} trainings with "
        f"{row['n_sizes']} numbers of labels n from {row['n_least']:,} to {row['n_full']:,}: b = "
    )
    if not row["tested"]:
        return (
            f"{law}{_signed(row['exponent'])}. Described, not tested: that takes at least {FEWEST_SEEDS} seeds at "
            f"every number of labels, to know the chance of training, and {FEWEST_GROUPS} groups of test images."
        )
    p = "< 0.001" if row["p_holm"] < 0.001 else f"= {row['p_holm']:.2g}"
    bounds = f"[{_signed(row['exponent_lo'])}, {_signed(row['exponent_hi'])}]"
    law += f"{_signed(row['exponent'])} {bounds} (Holm p {p})"
    if not is_shown(row):
        return f"{law}; that more labels help is not shown."
    if pd.isna(row["n_enough"]):
        return f"{law}; {ENOUGH:.0%} of the fitted score at {row['n_full']:,} is outside that range."
    interval = "(interval not within that range)"
    if pd.notna(row["n_enough_lo"]):
        interval = f"[{row['n_enough_lo']:,.0f}, {row['n_enough_hi']:,.0f}]"
    return (
        f"{law}; {ENOUGH:.0%} of the fitted score at {row['n_full']:,} takes {row['n_enough']:,.0f} labels {interval}."
    )


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")

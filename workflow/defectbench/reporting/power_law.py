"""Power laws of error against labels: a fit per model, its band, and the number of labels that is nearly enough."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from defectbench.evaluation.image_scores import PRIMARY, read_image_scores
from defectbench.evaluation.intervals import TAILS, GroupBootstrap
from defectbench.reporting import words
from defectbench.reporting.records import Record

ENOUGH = 0.95  # of the fitted score with all labels
FEWEST_SIZES = 3  # with two a power law fits any scores
POINTS = 40  # of a curve
FITS = {
    "track": "str",
    "metric": "str",
    "series": "str",  # trainings that differ only in their number of labels and seed
    "label": "str",
    "n_sizes": "Int64",
    "n_least": "Int64",
    "n_full": "Int64",
    "factor": "float64",  # 1 - score = factor · n^-exponent
    "exponent": "float64",
    "exponent_lo": "float64",
    "exponent_hi": "float64",
    "residual": "float64",  # largest distance of a mean over seeds from the fit
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
    y = np.log(np.maximum(1 - np.asarray(scores, float), 1e-6))
    x = x - (centre := x.mean())
    slope = (y * x).sum(axis=-1) / (x * x).sum()
    return Law(np.exp(y.mean(axis=-1) - slope * centre), -slope)


def fit_series(
    results: pd.DataFrame, records: Sequence[Record], draws: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit every series of ``results`` that was trained on at least FEWEST_SIZES numbers of labels.

    Intervals are percentiles over draws of groups of test images; scores are means over seeds, so they do not cover
    the chance of training. Returns the tables FITS and CURVES.
    """
    by_id = {record.exp_id: record for record in records}
    rows = pd.concat([words.label_rows(results, track, PRIMARY[track]) for track in ("automatic", "oracle")])
    fits, curves = [], []
    for name, trainings in rows.groupby("series", sort=False):
        members = [by_id[exp_id] for exp_id in trainings["exp_id"] if by_id[exp_id].row["n_labels_train"]]
        sizes = sorted({record.row["n_labels_train"] for record in members})
        if len(sizes) < FEWEST_SIZES:
            continue
        metric, labels = PRIMARY[members[0].row["track"]], np.array(sizes)
        resampled, means = _scores(members, sizes, metric, draws, seed)
        law, laws = fit_law(labels, means), fit_law(labels, resampled)
        exponents = np.nanquantile(laws.exponent, TAILS)
        enough = law.enough(sizes[-1], sizes[0])
        n = np.geomspace(sizes[0], sizes[-1], POINTS)
        bounds = np.nanquantile(laws.score(n), TAILS, axis=0)
        curves += [(name, *row) for row in zip(n, law.score(n), *bounds, strict=True)]
        residual = float(np.abs(law.score(labels) - means).max())
        values = (
            members[0].row["track"],
            metric,
            name,
            trainings["series_label"].iloc[0],
            len(sizes),
            sizes[0],
            sizes[-1],
            float(law.factor),
        )
        interval = _interval(laws.enough(sizes[-1], sizes[0]))
        fits.append((*values, float(law.exponent), *exponents, residual, float(enough), *interval))
    rows = [dict(zip(FITS, values, strict=True)) for values in fits]
    table = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in FITS.items()})
    return table, pd.DataFrame(curves, columns=list(CURVES))


def _scores(
    records: Sequence[Record], sizes: Sequence[int], metric: str, draws: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean scores over seeds by number of labels: in every bootstrap sample (draws, K), and in the data (K,)."""
    resampled, means = [], []
    for size in sizes:
        by_seed = [read_image_scores(r.folder, r.row["policy"]) for r in records if r.row["n_labels_train"] == size]
        scores = np.mean([scores_of_seed[metric].to_numpy() for scores_of_seed in by_seed], axis=0)
        bootstrap = GroupBootstrap(by_seed[0]["group"].to_numpy(str), draws, seed)
        resampled.append(bootstrap.means(scores))
        means.append(float(np.nanmean(scores)))
    return np.column_stack(resampled), np.array(means)


def _interval(resampled: np.ndarray) -> tuple[float, float]:
    """Percentiles, if the answer is within the range of the trainings in nearly every bootstrap sample."""
    known = resampled[~np.isnan(resampled)]
    if len(known) < 0.95 * len(resampled):
        return np.nan, np.nan
    low, high = np.quantile(known, TAILS)
    return float(low), float(high)


def law_sentence(row: dict) -> str:
    """One row of FITS in words; a fall is claimed only where the interval of the exponent says so."""
    exponent = f"{row['exponent']:.2f} [{row['exponent_lo']:.2f}, {row['exponent_hi']:.2f}]".replace("-", "−")
    law = (
        f"{row['label']}: 1 − {row['metric']} fitted by c · n^−b to {row['n_sizes']} numbers of labels n from "
        f"{row['n_least']:,} to {row['n_full']:,}: b = {exponent}"
    )
    if not row["exponent_lo"] > 0:
        return f"{law}; that more labels help is not shown."
    if pd.isna(row["n_enough"]):
        return f"{law}; {ENOUGH:.0%} of the fitted score at {row['n_full']:,} is outside that range."
    interval = "(interval not within that range)"
    if pd.notna(row["n_enough_lo"]):
        interval = f"[{row['n_enough_lo']:,.0f}, {row['n_enough_hi']:,.0f}]"
    return (
        f"{law}; {ENOUGH:.0%} of the fitted score at {row['n_full']:,} takes {row['n_enough']:,.0f} labels {interval}."
    )

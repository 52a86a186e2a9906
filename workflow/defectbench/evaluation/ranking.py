"""Ranks of experiments, their uncertainty, and the spread between trainings."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau, rankdata
from scipy.stats import t as student

from defectbench.evaluation.intervals import TAILS, GroupBootstrap


@dataclass(frozen=True)
class Ranking:
    """Ranks of K experiments, 1 is best, each field (K,) but the last two; NaN for experiments without any score."""

    rank: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_best: np.ndarray
    """Share of draws in which the experiment is the best; ties share"""
    luck: float
    """How much too high the mean of the first is, on average, because it is the first of many"""
    tau: tuple[float, float, float]
    """Kendall's tau-b between the ranking of a draw and that of the sample: median, 2.5 % and 97.5 % quantile"""


def bootstrap_ranks(scores: np.ndarray, bootstrap: GroupBootstrap) -> Ranking:
    """Rank K experiments by the means of their ``scores``, (K, N) float, in the sample and in every draw.

    ``luck`` is the bootstrap estimate of the bias of a maximum (Efron and Tibshirani, An Introduction to the Bootstrap,
    1993, section 10.2): the mean of what wins a draw, less its mean in the sample.
    """
    known = ~np.isnan(scores).all(axis=1)
    columns = np.full((5, len(scores)), np.nan)
    undefined = (np.nan, np.nan, np.nan)
    if not known.any():
        return _ranking(columns, np.nan, undefined)
    points = np.nanmean(scores[known], axis=1).round(12)
    draws = np.column_stack([bootstrap.means(row) for row in scores[known]]).round(12)
    draws = draws[~np.isnan(draws).any(axis=1)]
    ranks = rankdata(-draws, axis=1)
    best = draws == draws.max(axis=1, keepdims=True)
    low, median, high = np.quantile(ranks, (TAILS[0], 0.5, TAILS[1]), axis=0)
    p_best = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    columns[:, known] = rankdata(-points), median, low, high, p_best
    luck = (draws.max(axis=1) - points[draws.argmax(axis=1)]).mean()
    return _ranking(columns, float(luck), _rank_correlation(points, draws))


def _ranking(columns: np.ndarray, luck: float, tau: tuple[float, float, float]) -> Ranking:
    rank, median, low, high, p_best = columns
    return Ranking(rank, median, low, high, p_best, luck, tau)


def _rank_correlation(points: np.ndarray, draws: np.ndarray) -> tuple[float, float, float]:
    """Kendall's tau between the sample's means, (K,), and those of each draw; not defined where all are equal."""
    if np.ptp(points) == 0:
        return np.nan, np.nan, np.nan
    taus = [kendalltau(points, draw).statistic for draw in draws[np.ptp(draws, axis=1) > 0]]
    middle, lower, upper = np.quantile(taus, (0.5, *TAILS)).tolist()
    return middle, lower, upper


@dataclass(frozen=True)
class Mean:
    """Mean score of an experiment over images and seeds, with its 95 % interval."""

    mean: float
    sd: float
    """Of the means of the seeds; NaN for one"""
    low: float
    high: float


def estimate_mean(scores: np.ndarray, bootstrap: GroupBootstrap) -> Mean:
    """Mean of ``scores``, (S, N) float of S seeds in [0, 1]; with several seeds its interval covers training too.

    The distances of the images' interval and of a t interval of the seeds' means add up as squares (Zou and Donner,
    Statistics in Medicine 27, 2008).
    """
    of_images = scores.mean(axis=0)
    if np.isnan(of_images).all():
        return Mean(*[np.nan] * 4)
    mean, (low, high) = float(np.nanmean(of_images)), bootstrap.interval(of_images)
    if len(scores) == 1:
        return Mean(mean, np.nan, low, high)
    sd = float(np.nanmean(scores, axis=1).std(ddof=1))
    reach = student.ppf(TAILS[1], len(scores) - 1) * sd / np.sqrt(len(scores))
    return Mean(mean, sd, max(mean - np.hypot(mean - low, reach), 0.0), min(mean + np.hypot(high - mean, reach), 1.0))


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

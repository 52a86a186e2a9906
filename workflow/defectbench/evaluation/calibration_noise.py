"""Noise of calibration: what other val images of the same kind would have chosen, by a bootstrap of groups."""

from typing import NamedTuple

import numpy as np

from defectbench.evaluation.objective import Objective

DRAWS, SEED = 200, 42
_TAILS = (0.025, 0.975)


class ChoiceRange(NamedTuple):
    """95 % ranges over the draws, lowest and highest."""

    k: tuple[int, int]
    """of the chosen threshold k/256"""
    value: tuple[float, float]
    """of the objective at the threshold chosen in the same draw, on the images of that draw"""


def bootstrap_choice(objective: Objective, terms: np.ndarray, groups: list[str]) -> ChoiceRange | None:
    """Choose the threshold again in DRAWS resamples of the groups of images, with replacement.

    ``terms`` (T, N, 255) are those of ``objective`` at every candidate, ``groups`` (N,) the group of each image. Draws
    in which the objective is not defined are left out. None with fewer than two groups, or if none is left.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return None
    sums = np.zeros((len(terms), len(names), terms.shape[2]))
    for of_groups, of_images in zip(sums, terms, strict=True):
        np.add.at(of_groups, group_of, of_images)
    draws = np.random.default_rng(SEED).multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS)
    curves = objective.of_sums(draws.astype(float) @ sums)
    # Sums of the same numbers differ by rounding; only real differences decide.
    curves = np.round(curves[~np.isnan(curves).all(axis=1)], 12)
    if not len(curves):
        return None
    ks = [objective.best_candidate(curve) for curve in curves]
    (k_lo, k_hi), (lo, hi) = _range(np.array(ks)), _range(np.nanmax(curves, axis=1))
    return ChoiceRange((int(k_lo), int(k_hi)), (float(lo), float(hi)))


def _range(values: np.ndarray) -> tuple[float, float]:
    """The quantiles that _TAILS cut off, both taken outwards."""
    return np.quantile(values, _TAILS[0], method="lower"), np.quantile(values, _TAILS[1], method="higher")

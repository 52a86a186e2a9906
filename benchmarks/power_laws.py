"""Is "more labels help" claimed where labels do nothing, and found where they do? Simulated studies of five models.

Every model is trained on three numbers of labels with some seeds; scores of an image are its own difficulty plus the
training's noise on it, plus the chance of the training as a whole. A claim: the exponent of any model's law is above 0
after Holm's correction over the study.

    python benchmarks/power_laws.py [--simulations 500]
"""

import argparse
from collections.abc import Sequence
from itertools import product

import numpy as np

from defectbench.evaluation.intervals import TAILS, GroupBootstrap
from defectbench.evaluation.statistics import ALPHA, holm
from defectbench.reporting.power_law import fit_law, fit_trainings

SIZES = (100, 200, 336)
N_SERIES = 5
DRAWS = 500
DIFFICULTY_SD, IMAGE_SD = 0.25, 0.15  # of an image for all trainings, and of the difference of two trainings on it
ERROR = 0.25  # mean error at the smallest number of labels


def power_law_claims(
    n_images: int, n_seeds: int, seed_sds: Sequence[float], exponent: float = 0.0, simulations: int = 500
) -> dict[str, float]:
    """Shares of studies with any claim, and with one by images alone, as if training had no chance; and shares of laws.

    Of laws: those claimed, those whose interval is above 0, and those that are not tested.

    ``seed_sds`` are the standard deviations of a training's mean score between seeds, one for each of SIZES. With
    ``exponent`` 0 labels do not help, and every claim is false; otherwise the error falls as n^-exponent.
    """
    bootstrap = GroupBootstrap(np.arange(n_images).astype(str), DRAWS, 0)
    counted = np.zeros(5)
    for simulation in range(simulations):
        rng = np.random.default_rng([simulation, n_images, n_seeds, round(100 * exponent)])
        labels, sds = np.repeat(SIZES, n_seeds), np.repeat(seed_sds, n_seeds)
        fits, by_images = [], []
        difficulty = rng.normal(0, DIFFICULTY_SD, n_images)
        for _ in range(N_SERIES):
            chance = rng.normal(0, 1, len(labels)) * sds
            noise = rng.normal(0, IMAGE_SD / np.sqrt(2), (len(labels), n_images))
            means = 1 - ERROR * (labels / SIZES[0]) ** -exponent + chance
            scores = means[:, None] + difficulty + noise
            fits.append(fit_trainings(labels, scores, bootstrap, simulation))
            exponents = fit_law(labels, np.column_stack([bootstrap.means(row) for row in scores])).exponent
            by_images.append(np.quantile(exponents, TAILS[0]) > 0)
        p = holm(np.array([fit.p for fit in fits]))
        rises = np.array([float(fit.law.exponent) > 0 for fit in fits])
        claimed = (p < ALPHA) & rises
        alone = [fit.tested and fit.interval[0] > 0 for fit in fits]
        described = np.mean([not fit.tested for fit in fits])
        counted += claimed.any(), any(by_images), claimed.mean(), np.mean(alone), described
    names = ("any claim", "any by images", "claimed", "alone", "described")
    return dict(zip(names, counted / simulations, strict=True))


SEED_SDS = ((0.0, 0.0, 0.0), (0.01, 0.01, 0.01), (0.03, 0.01, 0.01))
CASES = list(product((90, 500, 2000), (1, 2, 3), SEED_SDS))


def main() -> None:
    """Print the table of docs/statistics.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=500, help="studies of a cell")
    args = parser.parse_args()
    print("| images | seeds | sd between seeds | any false claim | by images alone | one law alone | b = 0.1, found |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for n_images, n_seeds, seed_sds in CASES:
        none, some = (
            power_law_claims(n_images, n_seeds, seed_sds, exponent, args.simulations) for exponent in (0.0, 0.1)
        )
        shares = none["any claim"], none["any by images"], none["alone"], some["claimed"]
        cells = (f"{100 * share:.1f} %" for share in shares)
        chance = ", ".join(f"{100 * sd:g}" for sd in seed_sds)
        print(f"| {n_images} | {n_seeds} | {chance} pp | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

"""Do the statistics keep their promises? Simulated studies in which the truth is known.

Scores of an image are the image's own difficulty plus, for each experiment, a part that the images of a group share
and one of the image's own; of the paired differences' variance, the share of the first is the intra-group correlation.
"""

import argparse
import functools
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from scipy.stats import beta, norm
from threadpoolctl import threadpool_limits

from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.evaluation.statistics import A_BETTER, ALPHA, B_BETTER, Comparison, compare, holm, judge

DRAWS = 2000
N_IMAGES, PER_GROUP = 500, 7
SD = 0.15  # of the paired differences
CLAIMS = (A_BETTER, B_BETTER)


def group_sizes(rng: np.random.Generator, per_group: int, n: int = N_IMAGES) -> np.ndarray:
    """Group of each of ``n`` images, (n,); sizes vary around ``per_group``."""
    if per_group == 1:
        return np.arange(n)
    sizes = 1 + rng.poisson(per_group - 1, n)
    return np.repeat(np.arange(n), sizes)[:n]


def study(rng: np.random.Generator, groups: np.ndarray, icc: float, gains: np.ndarray) -> np.ndarray:
    """Scores (K, N) of K experiments whose means differ by ``gains``; not bounded."""
    shape = (len(gains), groups.max() + 1)
    shared = rng.normal(0, SD * np.sqrt(icc / 2), shape)[:, groups]
    own = rng.normal(0, SD * np.sqrt((1 - icc) / 2), (len(gains), len(groups)))
    return 0.6 + gains[:, None] + rng.normal(0, 0.2, len(groups)) + shared + own


@functools.cache
def images_as_groups(n: int = N_IMAGES) -> GroupBootstrap:
    """Draws of ``n`` single images."""
    return GroupBootstrap(np.arange(n), DRAWS, 0)


def comparisons(scores: np.ndarray, best: int, bootstrap: GroupBootstrap) -> list[Comparison]:
    """All experiments compared with ``best``."""
    return [compare(scores[best], scores[k], bootstrap) for k in range(len(scores)) if k != best]


def claims(found: list[Comparison]) -> list[str]:
    """What is claimed of the comparisons of a study."""
    return [verdict.claim for verdict in judge(found)]


def plain_rules(found: list[Comparison]) -> tuple[np.ndarray, np.ndarray]:
    """Differences by simpler rules: Holm on Wilcoxon's p; and that where the interval, not corrected, excludes 0."""
    by_wilcoxon = holm(np.array([comparison.p_wilcoxon for comparison in found])) < ALPHA
    return by_wilcoxon, by_wilcoxon & [comparison.low > 0 or comparison.high < 0 for comparison in found]


def false_claims(seed: int, icc: float, k: int) -> tuple[bool, bool, bool]:
    """Any claim among equals: best chosen on val, best chosen on test, and images tested as if they were groups."""
    rng = np.random.default_rng([seed, k, int(100 * icc)])
    groups = group_sizes(rng, PER_GROUP)
    scores = study(rng, groups, icc, np.zeros(k))
    on_val, on_test = int(rng.integers(k)), int(scores.mean(axis=1).argmax())
    whole, single = GroupBootstrap(groups, DRAWS, seed), images_as_groups()
    cases = ((on_val, whole), (on_test, whole), (on_val, single))
    found = [claims(comparisons(scores, best, by)) for best, by in cases]
    return tuple(not set(CLAIMS).isdisjoint(claimed) for claimed in found)


POWER_CASES = [
    {"icc": icc, "n": n, "per_group": per_group, "k": k, "gain": gain}
    for icc, n, per_group, k, gain in (
        (0.0, N_IMAGES, 1, 2, 0.03),
        (0.0, N_IMAGES, 1, 8, 0.03),
        (0.0, N_IMAGES, 1, 2, 0.02),
        (0.0, N_IMAGES, 1, 8, 0.02),
        (0.2, N_IMAGES, 7, 2, 0.03),
        (0.4, N_IMAGES, 7, 2, 0.03),
        (0.4, N_IMAGES, 7, 8, 0.03),
        (0.0, 19, 1, 2, 0.3),
    )
]


def power(seed: int, icc: float, n: int, per_group: int, k: int, gain: float) -> tuple[float, float]:
    """Share of the k - 1 worse experiments that are found to be worse: with Holm on Wilcoxon alone, and as claimed."""
    rng = np.random.default_rng([seed, k, int(100 * icc), per_group])
    groups = group_sizes(rng, per_group, n)
    scores = study(rng, groups, icc, np.array([gain, *[0.0] * (k - 1)]))
    bootstrap = images_as_groups(n) if per_group == 1 else GroupBootstrap(groups, DRAWS, seed)
    found = comparisons(scores, 0, bootstrap)
    return float(plain_rules(found)[1].mean()), float(np.mean([claim == A_BETTER for claim in claims(found)]))


def bounded(rng: np.random.Generator, groups: np.ndarray, zeros: float, ones: float) -> np.ndarray:
    """Scores like Dice: many 0, many 1, the rest Beta(5, 2); a Gaussian copula correlates those of a group (0.4)."""
    latent = np.sqrt(0.4) * rng.normal(size=groups.max() + 1)[groups] + np.sqrt(0.6) * rng.normal(size=len(groups))
    u = norm.cdf(latent)
    inner = beta.ppf(np.clip((u - zeros) / (1 - zeros - ones), 1e-9, 1 - 1e-9), 5, 2)
    return np.where(u < zeros, 0.0, np.where(u > 1 - ones, 1.0, inner))


# Name -> (values of a sample with these groups, their true mean)
DISTRIBUTIONS: dict[str, tuple[Callable[[np.random.Generator, np.ndarray], np.ndarray], float]] = {
    "normal": (lambda rng, groups: study(rng, groups, 0.4, np.zeros(1))[0], 0.6),
    "15 % zeros, 40 % ones": (lambda rng, groups: bounded(rng, groups, 0.15, 0.4), 0.4 + 0.45 * 5 / 7),
    "10 % zeros, 85 % ones": (lambda rng, groups: bounded(rng, groups, 0.1, 0.85), 0.85 + 0.05 * 5 / 7),
    "difference of two such": (
        lambda rng, groups: bounded(rng, groups, 0.15, 0.4) - bounded(rng, groups, 0.15, 0.4),
        0.0,
    ),
}


def coverage(seed: int, name: str, n_groups: int) -> tuple[bool]:
    """Whether the interval covers the true mean; group sizes are geometric with mean 4."""
    rng = np.random.default_rng([seed, n_groups, list(DISTRIBUTIONS).index(name)])
    draw, truth = DISTRIBUTIONS[name]
    groups = np.repeat(np.arange(n_groups), rng.geometric(0.25, n_groups))
    low, high = GroupBootstrap(groups, DRAWS, seed).interval(draw(rng, groups), -9, 9)
    return (low <= truth <= high,)


def skewed(seed: int, n_groups: int, k: int) -> tuple[bool, bool, bool]:
    """Equal means, unequal shapes: the best is 0.18 better than another on one group in ten, else 0.02 worse.

    Any of the k - 1 found to differ: by Wilcoxon and Holm alone; where the interval, not corrected, excludes 0 too; and
    as claimed.
    """
    rng = np.random.default_rng([seed, n_groups, k])
    others = np.where(rng.random((k - 1, n_groups)) < 0.1, -0.18, 0.02) + rng.normal(0, 0.002, (k - 1, n_groups))
    found = comparisons(0.5 + np.vstack([np.zeros(n_groups), others]), 0, images_as_groups(n_groups))
    return *(bool(rule.any()) for rule in plain_rules(found)), not set(CLAIMS).isdisjoint(claims(found))


def one_thread() -> None:
    """Let a process compute on one core: the processes are the parallelism."""
    threadpool_limits(1)


def main() -> None:
    """Print the tables of docs/statistics.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--simulations",
        type=int,
        default=500,
        help="of a cell; coverage and skew take four times as many",
    )
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    started = time.perf_counter()
    with ProcessPoolExecutor(args.processes, initializer=one_thread) as pool:

        def mean(function: Callable, simulations: int, **case: object) -> np.ndarray:
            return np.mean(
                list(pool.map(functools.partial(function, **case), range(simulations), chunksize=10)), axis=0
            )

        def row(*cells: object) -> None:
            print(f"| {' | '.join(map(str, cells))} |", flush=True)

        n = args.simulations
        row("correlation", "equal experiments", "best chosen on val (used)", "best chosen on test", "images as groups")
        row(*["---"] * 5)
        for icc in (0.0, 0.2, 0.4):
            for k in (2, 4, 8):
                row(icc, k, *(f"{share:.1%}" for share in mean(false_claims, n, icc=icc, k=k)))
        print()
        row("correlation", "images", "a group", "experiments", "worse by", "plain", "used")
        row(*["---"] * 7)
        for case in POWER_CASES:
            row(*case.values(), *(f"{found:.1%}" for found in mean(power, n, **case)))
        print()
        row("scores", "20 groups", "50 groups", "100 groups")
        row(*["---"] * 4)
        for name in DISTRIBUTIONS:
            row(name, *(f"{mean(coverage, 4 * n, name=name, n_groups=g)[0]:.1%}" for g in (20, 50, 100)))
        print()
        row("experiments", "groups", "Wilcoxon and Holm alone", "and an interval without 0 (plain)", "used")
        row(*["---"] * 5)
        for k in (2, 8):
            for n_groups in (20, 50, 100, 300):
                row(k, n_groups, *(f"{share:.1%}" for share in mean(skewed, 4 * n, n_groups=n_groups, k=k)))
    print(f"\n{args.simulations} simulations a cell, {DRAWS} draws, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()

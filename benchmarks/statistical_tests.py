"""Do the statistics keep their promises? Simulated studies in which the truth is known."""

import argparse
import functools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from scipy.stats import t as student
from scipy.stats import wilcoxon
from simulated_studies import (
    DISTRIBUTIONS,
    LAYOUTS,
    RATIOS,
    group_sizes,
    pooled_counts,
    seeded_study,
    skewed_differences,
    study,
    tied_differences,
)
from threadpoolctl import threadpool_limits

from defectbench.evaluation.intervals import GroupBootstrap
from defectbench.evaluation.power import Study, groups_needed, smallest_difference
from defectbench.evaluation.ranking import bootstrap_ranks
from defectbench.evaluation.statistics import A_BETTER, ALPHA, B_BETTER, Comparison, compare, holm, judge

DRAWS = 2000
N_IMAGES, PER_GROUP = 500, 7
CLAIMS = {A_BETTER, B_BETTER}


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


def any_claim(found: list[Comparison]) -> bool:
    """Whether any difference is claimed."""
    return not CLAIMS.isdisjoint(claims(found))


def plain_rules(found: list[Comparison]) -> tuple[np.ndarray, np.ndarray]:
    """Differences by simpler rules: Holm on Wilcoxon's p; and that where the interval, not corrected, excludes 0."""
    by_wilcoxon = holm(np.array([comparison.p_wilcoxon for comparison in found])) < ALPHA
    return by_wilcoxon, by_wilcoxon & [comparison.low > 0 or comparison.high < 0 for comparison in found]


def false_claims(seed: int, icc: float, k: int) -> tuple[bool, bool, bool]:
    """Any claim among equals: best chosen on val, best chosen on test, and images tested as if they were groups."""
    rng = np.random.default_rng([seed, k, int(100 * icc)])
    groups = group_sizes(rng, PER_GROUP, N_IMAGES)
    scores = study(rng, groups, icc, np.zeros(k))
    on_val, on_test = int(rng.integers(k)), int(scores.mean(axis=1).argmax())
    whole = GroupBootstrap(groups, DRAWS, seed)
    cases = ((on_val, whole), (on_test, whole), (on_val, images_as_groups()))
    return tuple(any_claim(comparisons(scores, best, by)) for best, by in cases)


def false_claims_skewed(
    seed: int, n_groups: int, k: int, ties: float = 0.0, noise: float = 0.002
) -> tuple[bool, bool, bool]:
    """Any of k - 1 experiments found to differ from the best, which it equals on average.

    By Wilcoxon and Holm alone; where the interval, not corrected, excludes 0 too; and as claimed.
    """
    rng = np.random.default_rng([seed, n_groups, k, int(100 * ties), int(1000 * noise)])
    others = skewed_differences(rng, (k - 1, n_groups), ties, noise)
    found = comparisons(0.5 + np.vstack([np.zeros(n_groups), others]), 0, images_as_groups(n_groups))
    return *(bool(rule.any()) for rule in plain_rules(found)), any_claim(found)


def claims_between_seeds(seed: int, n: int, seeds: int, gain: float) -> tuple[bool, bool]:
    """A claim between two sets of trainings, of which seeds differ by 1 pp: of their means alone, and as claimed."""
    a, b = seeded_study(np.random.default_rng([seed, n, seeds]), n, seeds, 0.01, gain)
    bootstrap = images_as_groups(n)
    averaged = compare(a.mean(axis=0), b.mean(axis=0), bootstrap)
    return any_claim([averaged]), any_claim([compare(a, b, bootstrap)])


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
        (0.0, 30, 1, 2, 0.15),
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


def power_with_ties(seed: int, n: int, ties: float) -> tuple[bool, bool]:
    """Whether a gain of 0.06 on the images that are not tied is found: with zeros split between the signs, and as used.

    The first takes Wilcoxon's test that way, and the same test of the mean.
    """
    rng, bootstrap = np.random.default_rng([seed, n, int(100 * ties)]), images_as_groups(n)
    differences = tied_differences(rng, n, ties, 0.06)
    by_ranks = wilcoxon(differences, zero_method="zsplit", alternative="greater").pvalue
    by_mean = bootstrap.studentised(*bootstrap.totals(differences)).p_values()[1]
    return 2 * max(by_ranks, by_mean) < ALPHA, claims([compare(differences, np.zeros(n), bootstrap)]) == [A_BETTER]


def coverage(seed: int, name: str, layout: str, n_groups: int) -> tuple[bool, bool, float, float]:
    """Whether the interval, and the studentised one alone, cover the true mean; and their widths."""
    rng = np.random.default_rng([seed, n_groups, list(DISTRIBUTIONS).index(name), list(LAYOUTS).index(layout)])
    draw, truth = DISTRIBUTIONS[name]
    groups = LAYOUTS[layout](rng, n_groups)
    bootstrap, values = GroupBootstrap(groups, DRAWS, seed), draw(rng, groups)
    low, high = bootstrap.interval(values)
    first, last = bootstrap.studentised(*bootstrap.totals(values)).interval(0, 1)
    return low <= truth <= high, first <= truth <= last, high - low, last - first


@functools.cache
def true_ratio(ratio: str, skill: float) -> float:
    """The ratio in a large population."""
    groups = np.repeat(np.arange(400_000), 3)
    numerators, denominators = RATIOS[ratio](*pooled_counts(np.random.default_rng(0), groups, skill))
    return float(numerators.sum() / denominators.sum())


def jackknife_interval(numerators: np.ndarray, denominators: np.ndarray) -> tuple[float, float]:
    """Interval of a ratio of sums over G groups, (G,) each, by its linearised jackknife and Student's t."""
    n, ratio = len(numerators), numerators.sum() / denominators.sum()
    error = np.sqrt(((numerators - ratio * denominators) ** 2).sum() * n / (n - 1)) / denominators.sum()
    reach = student.ppf(0.975, n - 1) * error
    return ratio - reach, ratio + reach


def ratio_coverage(seed: int, ratio: str, skill: float, n_groups: int) -> tuple[bool, bool]:
    """Whether the interval of a ratio of totals, and that of a linearised jackknife, cover its true value."""
    rng = np.random.default_rng([seed, n_groups, int(10 * skill)])
    groups = np.repeat(np.arange(n_groups), rng.geometric(1 / 3, n_groups))
    bootstrap, parts = GroupBootstrap(groups, DRAWS, seed), RATIOS[ratio](*pooled_counts(rng, groups, skill))
    intervals = bootstrap.ratio_interval(*parts), jackknife_interval(*map(bootstrap.group_sums, parts))
    return tuple(low <= true_ratio(ratio, skill) <= high for low, high in intervals)


def false_acceptance(seed: int, n: int, shape: str) -> tuple[bool]:
    """Whether b passes as not worse by more than 0.02, although it is worse by just that."""
    rng = np.random.default_rng([seed, n])
    differences = {
        "normal": lambda: rng.normal(0.02, 0.15, n),
        "90 % ties": lambda: np.where(rng.random(n) < 0.9, 0.0, rng.normal(0.2, 0.3, n)),
        "2 % total failures": lambda: (rng.random(n) < 0.02).astype(float),
    }[shape]()
    found = compare(differences, np.zeros(n), images_as_groups(n), margin=0.02)
    return (found.p_not_worse < ALPHA,)


def acceptance(seed: int, n: int) -> tuple[bool]:
    """Whether an equal passes as not worse by more than 0.02."""
    differences = np.random.default_rng([seed, n]).normal(0, 0.08, n)
    return (compare(differences, np.zeros(n), images_as_groups(n), margin=0.02).p_not_worse < ALPHA,)


def prediction_of_power(seed: int, n: int, ties: float, gain: float) -> tuple[float, float]:
    """From a pilot of ``n`` images: images needed for a true mean difference, and the smallest that n can show."""
    differences = tied_differences(np.random.default_rng([seed, n, int(100 * ties)]), n, ties, gain)
    pilot = Study.of(differences, np.zeros(n), GroupBootstrap(np.arange(n), 1, 0))
    return groups_needed(pilot.shifted(gain * (1 - ties))), smallest_difference(pilot)


def detection(seed: int, n: int, ties: float, gain: float) -> tuple[bool]:
    """Whether the difference is found on ``n`` images, as claimed."""
    differences = tied_differences(np.random.default_rng([seed, n, 7]), n, ties, gain)
    found = compare(differences, np.zeros(n), GroupBootstrap(np.arange(n), 1000, seed))
    return (claims([found]) == [A_BETTER],)


def luck_of_the_first(seed: int, k: int, n: int) -> tuple[float, float]:
    """By how much the first of k equal models is too high, and what is said of it."""
    rng = np.random.default_rng([seed, k, n])
    scores = study(rng, np.arange(n), 0.0, np.zeros(k))
    above_all = scores.mean(axis=1).max() - scores.mean()  # what all share is no luck of one
    return float(above_all), bootstrap_ranks(scores, GroupBootstrap(np.arange(n), 500, seed)).luck


class Tables:
    """Prints tables of means over simulations, which a pool of processes runs."""

    def __init__(self, pool: ProcessPoolExecutor, simulations: int) -> None:
        """Use ``simulations`` a cell."""
        self.pool, self.simulations = pool, simulations

    def run(self, function: Callable, times: int = 1, **case: object) -> np.ndarray:
        """Results of all simulations of a cell, (simulations, results)."""
        seeds = range(times * self.simulations)
        return np.array(list(self.pool.map(functools.partial(function, **case), seeds, chunksize=10)), float)

    def mean(self, function: Callable, times: int = 1, **case: object) -> np.ndarray:
        """Their means, (results,)."""
        return self.run(function, times, **case).mean(axis=0)

    def table(self, title: str, header: tuple[str, ...], rows: Iterator[tuple]) -> None:
        """Print a table in Markdown as its rows come."""
        print(f"\n{title}\n\n| {' | '.join(header)} |\n| {' | '.join(['---'] * len(header))} |", flush=True)
        for row in rows:
            print(f"| {' | '.join(map(str, row))} |", flush=True)


def shares(values: np.ndarray) -> tuple[str, ...]:
    """Shares as percentages."""
    return tuple(f"{value:.1%}" for value in values)


def print_false_claims(t: Tables) -> None:
    """Claims among equals: clustered, skewed, tied, and of several trainings."""
    t.table(
        "Studies of equal models with any false claim",
        ("correlation", "equal experiments", "best chosen on val (used)", "best chosen on test", "images as groups"),
        (
            (icc, k, *shares(t.mean(false_claims, icc=icc, k=k)))
            for icc in (0.0, 0.2, 0.4)
            for k in (2, 4, 8, *([40] if icc == 0.2 else []))
        ),
    )
    t.table(
        "Equal means, skewed differences",
        ("experiments", "groups", "Wilcoxon and Holm alone", "and an interval without 0 (plain)", "used"),
        (
            (k, n, *shares(t.mean(false_claims_skewed, n_groups=n, k=k)))
            for k in (2, 8)
            for n in (20, 30, 45, 50, 100, 300)
        ),
    )
    t.table(
        "The same with noise of 0.02: not all that agree agree exactly",
        ("experiments", "groups", "used"),
        (
            (k, n, *shares(t.mean(false_claims_skewed, n_groups=n, k=k, noise=0.02)[2:]))
            for k in (2, 8)
            for n in (20, 30, 45, 50, 100)
        ),
    )
    t.table(
        "Ties: skewed differences among them; and the power to find +0.06 on the images that differ",
        ("ties", "images", "false claims", "power with zeros split", "power, used"),
        (
            (
                f"{ties:.0%}",
                n,
                *shares(t.mean(false_claims_skewed, n_groups=n, k=2, ties=ties)[2:]),
                *shares(t.mean(power_with_ties, n=n, ties=ties)),
            )
            for ties in (0.5, 0.8, 0.9)
            for n in (60, 100, 300, 1000)
        ),
    )
    t.table(
        "Two sets of trainings, seeds with a standard deviation of 1 pp: claims",
        ("seeds", "images", "no difference: seeds averaged", "no difference: used", "3 pp: used"),
        (
            (
                s,
                n,
                *shares(t.mean(claims_between_seeds, n=n, seeds=s, gain=0.0)),
                *shares(t.mean(claims_between_seeds, n=n, seeds=s, gain=0.03)[1:]),
            )
            for s in (1, 2, 3, 5)
            for n in (90, 500, 2000)
        ),
    )


def print_coverage(t: Tables) -> None:
    """Coverage and width of the intervals."""
    numbers = (20, 60, 300)
    for layout in LAYOUTS:
        rows = (
            (name, [t.mean(coverage, name=name, layout=layout, n_groups=n) for n in numbers]) for name in DISTRIBUTIONS
        )
        t.table(
            f"Coverage of the 95 % intervals, {layout}; in brackets, that of the studentised bootstrap alone and the "
            "ratio of the widths",
            ("scores", *(f"{n} groups" for n in numbers)),
            ((name, *(f"{c[0]:.1%} ({c[1]:.1%}, {c[2] / c[3]:.2f})" for c in cells)) for name, cells in rows),
        )
    t.table(
        "Coverage of the intervals of ratios of totals; in brackets, that of a linearised jackknife",
        ("ratio", "true value", *(f"{n} groups" for n in numbers)),
        (
            (
                ratio,
                f"{true_ratio(ratio, skill):.2f}",
                *(
                    "{} ({})".format(*shares(t.mean(ratio_coverage, ratio=ratio, skill=skill, n_groups=n)))
                    for n in numbers
                ),
            )
            for ratio in RATIOS
            for skill in (0.0, 1.0, 2.5)
        ),
    )


def print_power(t: Tables) -> None:
    """Power, its prediction, and the test of being not worse."""
    t.table(
        "Worse experiments that are found",
        ("correlation", "images", "a group", "experiments", "worse by", "plain", "used"),
        ((*case.values(), *shares(t.mean(power, **case))) for case in POWER_CASES),
    )

    def predicted(n: int, ties: float, gain: float) -> tuple:
        needed, smallest = np.nanmedian(t.run(prediction_of_power, n=n, ties=ties, gain=gain), axis=0)
        found = shares(t.mean(detection, n=round(needed), ties=ties, gain=gain))
        return f"{needed:.0f}", *found, f"{100 * smallest:.1f} pp", smallest / (1 - ties)

    t.table(
        "From a pilot: images needed for a true difference, and the share of studies of that many images that find it "
        "(planned: 80 %); the smallest difference that as many images as the pilot's show, and the share that find it",
        ("pilot", "ties", "true difference", "images needed", "find it", "smallest difference", "find it"),
        (
            (
                n,
                f"{ties:.0%}",
                f"{100 * gain * (1 - ties):.1f} pp",
                *cells[:3],
                *shares(t.mean(detection, n=n, ties=ties, gain=cells[3])),
            )
            for n, ties, gain in ((60, 0.0, 0.05), (100, 0.0, 0.03), (200, 0.5, 0.04), (300, 0.8, 0.05))
            for cells in [predicted(n, ties, gain)]
        ),
    )
    t.table(
        "Not worse by more than 2 pp: accepted although worse by just that; and accepted equals (sd 0.08)",
        ("images", "normal", "90 % ties", "2 % total failures", "equals"),
        (
            (
                n,
                *(
                    shares(t.mean(false_acceptance, n=n, shape=s))[0]
                    for s in ("normal", "90 % ties", "2 % total failures")
                ),
                *shares(t.mean(acceptance, n=n)),
            )
            for n in (60, 300, 1000)
        ),
    )
    t.table(
        "The first of equal models is lucky: by how much (pp), and what is said",
        ("experiments", "images", "too high by", "said"),
        (
            (k, n, *(f"{100 * value:.1f}" for value in t.mean(luck_of_the_first, k=k, n=n)))
            for k in (5, 15, 40)
            for n in (60, 300)
        ),
    )


def one_thread() -> None:
    """Let a process compute on one core: the processes are the parallelism."""
    threadpool_limits(1)


PARTS = {"claims": print_false_claims, "coverage": print_coverage, "power": print_power}


def main() -> None:
    """Print the tables of docs/statistics.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=500, help="of a cell")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    started = time.perf_counter()
    with ProcessPoolExecutor(args.processes, initializer=one_thread) as pool:
        for part in args.parts:
            PARTS[part](Tables(pool, args.simulations))
    print(f"\n{args.simulations} simulations a cell, {DRAWS} draws, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()

"""Notes on what the claims of a study are worth, the same in every report."""

from collections.abc import Iterator, Mapping

import pandas as pd

from defectbench.evaluation.intervals import FEWEST_GROUPS
from defectbench.evaluation.pairwise import is_trained
from defectbench.evaluation.statistics import FEW_GROUPS
from defectbench.reporting.names import list_names
from defectbench.reporting.verdicts import TESTED

CLEARLY_FEWER = 0.8
"""Effective groups per group below which sizes differ enough to be said"""
WORTH_OF_FEW_GROUPS = (
    "allow for the worst case in a group that was not seen, but say nothing of failures on one group in ten or fewer"
)
"""What claims from FEWEST_GROUPS to FEW_GROUPS groups that differ are worth (docs/statistics.md)"""


def claim_notes(
    results: pd.DataFrame, ranks: pd.DataFrame, pairwise: pd.DataFrame, names: Mapping[str, str]
) -> list[str]:
    """The sentences that apply; ``names`` maps experiments to their short names."""
    return [*_few_groups(pairwise), *_unequal_groups(ranks), *_chance_of_training(results, names)]


def _few_groups(pairwise: pd.DataFrame) -> Iterator[str]:
    differ = pairwise.loc[pairwise["claim"].isin(TESTED), "n_groups_differ"]
    few = differ[differ.between(FEWEST_GROUPS, FEW_GROUPS - 1)]
    if len(few):
        yield (
            f"In {len(few)} of {len(pairwise)} comparisons only {_span(few)} groups of test images differ. Claims from "
            f"fewer than {FEW_GROUPS} {WORTH_OF_FEW_GROUPS}"
        )


def _unequal_groups(ranks: pd.DataFrame) -> Iterator[str]:
    unequal = ranks[ranks["effective_groups"] < CLEARLY_FEWER * ranks["n_groups"]]
    # The reference methods are scored on the images of the automatic track.
    for track, rows in unequal[unequal["track"] != "reference"].groupby("track", sort=False):
        n, effective = rows[["n_groups", "effective_groups"]].iloc[0]
        yield (
            f"{str(track).capitalize()} track: the groups of test images are of very unequal size, so that {n:,.0f} "
            f"groups tell no more than about {effective:,.0f} of equal size (Kish's effective number)"
        )


def _chance_of_training(results: pd.DataFrame, names: Mapping[str, str]) -> Iterator[str]:
    n_seeds = results["experiment"].value_counts(sort=False)
    n_seeds = n_seeds[is_trained(results).reindex(n_seeds.index)]
    once = list(n_seeds.index[n_seeds == 1])
    if not once and len(n_seeds):
        yield (
            "Every experiment was trained with several seeds: the chance of training is part of the intervals, and of "
            "the tests of one against another"
        )
    elif once and len(once) == len(n_seeds):
        yield (
            "Every experiment was trained with one seed: intervals and tests do not cover the chance of training, and "
            "hold for these trainings only"
        )
    elif once:
        yield (
            f"{len(once)} of {len(n_seeds)} experiments were trained with one seed only, and what is said of them "
            f"holds for these trainings: {list_names([names[name] for name in once])}. Between experiments of several "
            "seeds the chance of training is part of intervals and tests"
        )


def _span(numbers: pd.Series) -> str:
    least, most = numbers.min(), numbers.max()
    return f"{least}" if least == most else f"{least} to {most}"

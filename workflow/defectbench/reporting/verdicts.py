"""Verdicts on a track that the tests of pairwise.csv support, the same in every table, picture and sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import pandas as pd

from defectbench.evaluation.pairwise import VS_BEST, VS_REFERENCE
from defectbench.evaluation.statistics import A_BETTER, B_BETTER, FEWEST_GROUPS, TOO_FEW

LOSERS = {A_BETTER: "b", B_BETTER: "a"}
"""Claim -> the column of the worse experiment"""


@dataclass(frozen=True)
class Standing:
    """How the experiments of one track stand after the tests; names are those of the column ``experiment``."""

    n: int
    """Experiments of the track"""
    unbeaten: tuple[str, ...]
    """No test shows another experiment of the track to be better; in the order of the results"""
    winner: str | None
    """The only unbeaten one of several"""
    tested: bool
    """Whether there were enough groups for any claim"""
    best: str | None
    """The one that all others were compared with: the best on val"""
    not_above: tuple[str, ...]
    """Reference methods that ``best`` is not shown to be better than"""

    @classmethod
    def of(cls, results: pd.DataFrame, pairwise: pd.DataFrame, track: str) -> Self:
        """Read the standing of ``track`` from the tables."""
        experiments = list(results.loc[results["track"] == track, "experiment"].unique())
        comparisons = pairwise[pairwise["a"].isin(experiments) & pairwise["b"].isin(experiments)]
        beaten = {
            name for claim, loser in LOSERS.items() for name in comparisons.loc[comparisons["claim"] == claim, loser]
        }
        unbeaten = tuple(name for name in experiments if name not in beaten)
        vs_references = pairwise[(pairwise["kind"] == VS_REFERENCE) & pairwise["a"].isin(experiments)]
        compared = pairwise[pairwise["kind"].isin([VS_BEST, VS_REFERENCE]) & pairwise["a"].isin(experiments)]
        return cls(
            n=len(experiments),
            unbeaten=unbeaten,
            winner=unbeaten[0] if len(unbeaten) == 1 < len(experiments) else None,
            tested=len(comparisons) > 0 and bool((comparisons["claim"] != TOO_FEW).any()),
            best=compared["a"].iloc[0] if len(compared) else None,
            not_above=tuple(vs_references.loc[vs_references["claim"] != A_BETTER, "b"]),
        )

    def sentence(self, names: Mapping[str, str]) -> str:
        """The standing in words; ``names`` maps experiments to their short names."""
        if self.winner:
            text = f"Winner: {names[self.winner]}; every other experiment of the track is significantly worse."
        elif self.n < 2:
            text = "No winner is named: there is nothing to compare."
        elif not self.tested:
            text = f"No winner is named: too few groups of test images for a test; at least {FEWEST_GROUPS} are needed."
        else:
            text = f"No winner is named: {len(self.unbeaten)} of {self.n} are not shown to be worse than another."
        if self.best and self.not_above:
            references = ", ".join(names[name] for name in self.not_above)
            text += f" Not shown to be worse than {names[self.best]}: {references}."
        return text

"""What the tests of pairwise.csv allow to be said of a track, the same in every table, picture and sentence."""

from dataclasses import dataclass
from typing import Self

import pandas as pd

from defectbench.evaluation.pairwise import VS_BEST, VS_REFERENCE
from defectbench.evaluation.statistics import A_BETTER, B_BETTER, FEWEST_GROUPS, TOO_FEW


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
        names = list(results.loc[results["track"] == track, "experiment"].unique())
        inside = pairwise[pairwise["a"].isin(names) & pairwise["b"].isin(names)]
        beaten = {*inside.loc[inside["claim"] == A_BETTER, "b"], *inside.loc[inside["claim"] == B_BETTER, "a"]}
        unbeaten = tuple(name for name in names if name not in beaten)
        against = pairwise[(pairwise["kind"] == VS_REFERENCE) & pairwise["a"].isin(names)]
        compared = pairwise[pairwise["kind"].isin([VS_BEST, VS_REFERENCE]) & pairwise["a"].isin(names)]
        return cls(
            n=len(names),
            unbeaten=unbeaten,
            winner=unbeaten[0] if len(unbeaten) == 1 < len(names) else None,
            tested=len(inside) > 0 and bool((inside["claim"] != TOO_FEW).any()),
            best=compared["a"].iloc[0] if len(compared) else None,
            not_above=tuple(against.loc[against["claim"] != A_BETTER, "b"]),
        )

    def sentence(self, called: dict[str, str]) -> str:
        """The standing in words; ``called`` maps the names of experiments to what they are called."""
        if self.winner:
            text = f"Winner: {called[self.winner]}; every other experiment of the track is significantly worse."
        elif self.n < 2:
            text = "No winner is named: there is nothing to compare."
        elif not self.tested:
            text = f"No winner is named: too few groups of test images for a test; at least {FEWEST_GROUPS} are needed."
        else:
            text = f"No winner is named: {len(self.unbeaten)} of {self.n} are not shown to be worse than another."
        if self.not_above:
            references = ", ".join(called[name] for name in self.not_above)
            text += f" Not shown to be worse than {called[self.best]}: {references}."
        return text

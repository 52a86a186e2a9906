"""Verdicts on a track that the tests of pairwise.csv support, the same in every table, picture and sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from defectbench.evaluation.intervals import FEWEST_GROUPS
from defectbench.evaluation.pairwise import VS_BEST, VS_REFERENCE
from defectbench.evaluation.statistics import A_BETTER, B_BETTER, IDENTICAL, NO_CLAIM, TOO_FEW
from defectbench.reporting.names import list_names

LOSERS = {A_BETTER: "b", B_BETTER: "a"}
"""Claim -> the column of the worse experiment"""
TESTED = (A_BETTER, B_BETTER, NO_CLAIM)
"""Claims of pairs that a test was made of"""


@dataclass(frozen=True)
class Standing:
    """How the experiments of one track stand after the tests; names are those of the column ``experiment``."""

    experiments: tuple[str, ...]
    """Of the track, in the order of the results"""
    unbeaten: tuple[str, ...]
    """No test shows another experiment of the track to be better"""
    winner: str | None
    """The only unbeaten one of several"""
    untested: str | None
    """Why nothing was tested; None if something was"""
    best: str | None
    """The one that all others were compared with: the best on val"""
    claims: Mapping[frozenset[str], str]
    """Claim of each pair that was compared, reference methods among them"""
    references: tuple[str, ...]
    """Reference methods that ``best`` was compared with"""
    of_trainings: bool
    """Whether a claim leaves the chance of training out, and so is of these trainings only"""

    @classmethod
    def of(cls, results: pd.DataFrame, pairwise: pd.DataFrame, track: str) -> Self:
        """Read the standing of ``track`` from the tables."""
        experiments = list(results.loc[results["track"] == track, "experiment"].unique())
        comparisons = pairwise[pairwise["a"].isin(experiments) & pairwise["b"].isin(experiments)]
        beaten = {
            name for claim, loser in LOSERS.items() for name in comparisons.loc[comparisons["claim"] == claim, loser]
        }
        unbeaten = tuple(name for name in experiments if name not in beaten)
        compared = pairwise[pairwise["kind"].isin([VS_BEST, VS_REFERENCE]) & pairwise["a"].isin(experiments)]
        of_track = pairwise[pairwise["a"].isin(experiments) | pairwise["b"].isin(experiments)]
        return cls(
            experiments=tuple(experiments),
            unbeaten=unbeaten,
            winner=unbeaten[0] if len(unbeaten) == 1 < len(experiments) else None,
            untested=_why_untested(comparisons),
            best=compared["a"].iloc[0] if len(compared) else None,
            claims={frozenset((row["a"], row["b"])): row["claim"] for row in of_track.to_dict("records")},
            references=tuple(compared.loc[compared["kind"] == VS_REFERENCE, "b"]),
            of_trainings=bool(comparisons.loc[comparisons["claim"].isin(LOSERS), "p_seeds"].isna().any()),
        )

    @property
    def top(self) -> tuple[str, ...]:
        """The unbeaten ones, if anything was tested."""
        return () if self.untested else self.unbeaten

    def claim(self, first: str, second: str) -> str | None:
        """The claim of the pair's row in pairwise.csv; None if it was not compared."""
        return self.claims.get(frozenset((first, second)))

    def doubts(self, first: str, names: Mapping[str, str]) -> str:
        """What the tests leave open on a lead of ``first``, in words; nothing if every other experiment is worse."""
        if self.untested:
            return self.untested
        others = [name for name in self.unbeaten if name != first and first in self.unbeaten]
        ways = {
            NO_CLAIM: "that lead is not significant over",
            TOO_FEW: "too few groups of test images differ for a test against",
            None: "it was not tested against",
        }
        found = {claim: [names[name] for name in others if self.claim(first, name) == claim] for claim in ways}
        return "; ".join(f"{ways[claim]} {list_names(listed)}" for claim, listed in found.items() if listed)

    def sentence(self, names: Mapping[str, str], trainings: Mapping[str, str]) -> str:
        """The standing in words; experiments -> short names, and names of their trainings (``training_names``)."""
        if self.winner:
            text = f"Winner: {(trainings if self.of_trainings else names)[self.winner]}; {self._beaten(names)}."
        elif len(self.experiments) < 2:
            text = "No winner is named: there is nothing to compare."
        elif self.untested:
            text = f"No winner is named: {self.untested}."
        else:
            share = f"{len(self.unbeaten)} of {len(self.experiments)}"
            text = f"No winner is named: {share} are not shown to be worse than another"
            text += f"; compared with {names[self.best]}, the best on val." if self.best else "."
        return " ".join([text, *self.against_references(names)])

    def _beaten(self, names: Mapping[str, str]) -> str:
        """How the others stand to the winner, which not all need have been compared with."""
        winner = self.winner or ""
        indirect = [names[name] for name in self.experiments if name != winner and not self.claim(winner, name)]
        if not indirect:
            return "every other experiment of the track is significantly worse"
        return (
            "every other experiment of the track is significantly worse than it, or than one that is "
            f"(not compared with it: {', '.join(indirect)})"
        )

    def against_references(self, names: Mapping[str, str]) -> list[str]:
        """A sentence for each way in which ``best`` is not shown to be better than reference methods."""
        best = self.best or ""
        ways = {
            NO_CLAIM: f"Not shown to be worse than {names.get(best)}",
            B_BETTER: f"Significantly better than {names.get(best)}",
            IDENTICAL: f"Equal to {names.get(best)} on every test image",
        }
        found = {claim: [names[name] for name in self.references if self.claim(best, name) == claim] for claim in ways}
        return [f"{ways[claim]}: {', '.join(listed)}." for claim, listed in found.items() if listed]


def _why_untested(comparisons: pd.DataFrame) -> str | None:
    if comparisons["claim"].isin(TESTED).any():
        return None
    too_few = comparisons[comparisons["claim"] == TOO_FEW]
    if comparisons.empty:
        return "nothing was tested"
    if too_few.empty:
        return "all experiments that were compared are equal on every test image"
    if too_few["n_groups"].max() < FEWEST_GROUPS:
        return f"too few groups of test images, so nothing was tested; at least {FEWEST_GROUPS} are needed"
    return (
        f"too few groups of test images on which experiments differ, so nothing was tested; at least {FEWEST_GROUPS} "
        "are needed"
    )


def is_true(value: Any) -> bool:
    """Whether a cell of a table is true, which may be null."""
    return bool(pd.notna(value) and value)

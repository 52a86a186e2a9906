"""Ensembles: experiments that average the probability maps of others."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from defectbench.config.experiment import Experiment
from defectbench.config.family_settings import FamilySettings, JobNeeds, Traits
from defectbench.config.names import find_all
from defectbench.config.prompts import is_oracle


class EnsembleSettings(FamilySettings):
    """The mean of several experiments' probability maps: of seeds, families or, with ``cv``, also of folds."""

    jobs: ClassVar[JobNeeds | None] = None

    model: Literal["ensemble"]
    members: tuple[str, ...] = Field(
        min_length=2,
        description="Names or ids of experiments of this study, all with cv or all without; an id without its _s{seed} "
        "stands for all its seeds, the name of a grid for all its experiments",
    )
    weights: Literal["equal", "fitted"] = Field(
        "equal", description="fitted: those of the highest likelihood on the val (with cv: out-of-fold) images"
    )
    choose: int | None = Field(
        None,
        ge=1,
        description="Keep at most that many members: the ensemble with the highest dice_all on the val (with cv: "
        "out-of-fold) images, built by forward selection; null: all",
    )
    seed: int = Field(42, ge=0, description="Seed of the pixels that weights are fitted to")

    @field_validator("members")
    @classmethod
    def _members_differ(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted({member for member in members if members.count(member) > 1})
        if repeated:
            raise ValueError(f"listed twice: {', '.join(repeated)}")
        return members

    @cached_property
    def traits(self) -> Traits:
        """Its members; all other traits follow from theirs."""
        return Traits(members=self.members)

    def id_values(self, combined: Sequence[str]) -> dict[str, Any]:
        """Settings, with the unabridged ids of the members."""
        return super().id_values(combined) | ({"members": list(combined)} if combined else {})

    @property
    def inactive_keys(self) -> set[str]:
        """The seed has an effect on fitted weights alone."""
        return set() if self.weights == "fitted" else {"seed"}

    @property
    def learns_from_val(self) -> bool:
        """Whether members or weights are chosen by labels of val images."""
        return self.choose is not None or self.weights == "fitted"


def resolve_ensemble(
    ensemble: Experiment, settings: EnsembleSettings, trained: Sequence[Experiment], key: str, problems: list[str]
) -> Experiment:
    """``ensemble``, whose settings are ``settings``, with the ids of all its members and their common subset and cv.

    Mistakes are added to ``problems``, with the key path ``key`` of the ensemble's entry.
    """
    members: list[Experiment] = []
    n_problems = len(problems)
    for reference in settings.members:
        matches = find_all(reference, trained, f"{key}.members", problems)
        members += [member for member in matches if member not in members]
    if len(members) < 2:
        if len(problems) == n_problems:
            problems.append(f"{key}.members: all of them are {members[0].name}; give at least two experiments")
        return ensemble
    problems += [f"{key}.members: {problem}" for problem in _conflicts(members)]
    if settings.choose is not None and settings.choose > len(members):
        problems.append(f"{key}.choose: {settings.choose}, but there are {len(members)} members")
    subsets = {member.subset for member in members}
    return replace(
        ensemble,
        settings=settings.model_copy(update={"members": tuple(member.exp_id for member in members)}),
        subset=subsets.pop() if len(subsets) == 1 else "mixed",
        cv=members[0].cv,
        combined=tuple(member.unabridged_id for member in members),
    )


def _conflicts(members: Sequence[Experiment]) -> list[str]:
    """Reasons why the maps of ``members`` have no mean."""
    problems = []
    if detectors := [member.name for member in members if member.traits.is_detector]:
        problems.append(f"{', '.join(detectors)} gives boxes alone, no maps that could be averaged")
    if constant := [member.name for member in members if not member.traits.has_scores]:
        problems.append(f"{', '.join(constant)} gives no scores, only yes/no, and cannot be averaged")
    oracle = [member.name for member in members if is_oracle(member.traits.prompt_source)]
    if 0 < len(oracle) < len(members):
        problems.append(
            f"{', '.join(oracle)} is prompted from the true masks (oracle track), the others are not: "
            "tracks are never mixed"
        )
    if len({member.cv for member in members}) > 1:
        problems.append("all members need the same cv: their maps must be of the same images")
    if len({member.traits.task for member in members}) > 1:
        problems.append("all members need the same task: their maps must be of the same classes")
    return problems

"""Ensembles: experiments that average the maps of others."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from defectbench.config.base import suggestion
from defectbench.config.experiment import Experiment
from defectbench.config.families.base import FamilySettings, JobNeeds, Traits
from defectbench.config.prompts import is_oracle


class EnsembleSettings(FamilySettings):
    """The mean of several experiments' maps of probabilities: of seeds, families or, with ``cv``, also of folds."""

    jobs: ClassVar[JobNeeds | None] = None

    model: Literal["ensemble"]
    members: tuple[str, ...] = Field(
        min_length=2,
        description="Ids of experiments of this study, all with cv or all without; an id without its _s{seed} stands "
        "for all its seeds",
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
    def _no_member_twice(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({member for member in members if members.count(member) > 1})
        if twice:
            raise ValueError(f"listed twice: {', '.join(twice)}")
        return members

    @cached_property
    def traits(self) -> Traits:
        """Its members; what else it is follows from them."""
        return Traits(members=self.members)

    @property
    def idle_keys(self) -> set[str]:
        """The seed matters to fitted weights alone."""
        return set() if self.weights == "fitted" else {"seed"}

    @property
    def learns_from_val(self) -> bool:
        """Whether labels of val images have a say in members or weights."""
        return self.choose is not None or self.weights == "fitted"


def resolve_ensembles(experiments: Sequence[Experiment], problems: list[str]) -> list[Experiment]:
    """``experiments``, the ensembles among them with the ids of all their members, and their common subset and cv."""
    trained = [experiment for experiment in experiments if experiment.family not in ("ensemble", "cascade")]
    return [
        _resolved(experiment, trained, problems) if experiment.family == "ensemble" else experiment
        for experiment in experiments
    ]


def _resolved(ensemble: Experiment, trained: list[Experiment], problems: list[str]) -> Experiment:
    key = f"experiments: ensemble of {', '.join(ensemble.settings.members)}"
    members = []
    for name in ensemble.settings.members:
        found = [e for e in trained if name in (e.exp_id, e.id_without_seed)]
        if not found:
            problems.append(f"{key}: no experiment {name!r}; {suggestion(name, [e.exp_id for e in trained])}")
        members += [member for member in found if member not in members]
    if not members:
        return ensemble
    if detectors := [member.exp_id for member in members if member.traits.is_detector]:
        problems.append(f"{key}: {', '.join(detectors)} gives boxes alone, no maps that could be averaged")
    if constant := [member.exp_id for member in members if not member.traits.has_scores]:
        problems.append(f"{key}: {', '.join(constant)} gives no scores, only yes/no: it has no part in a mean")
    oracle = [member.exp_id for member in members if is_oracle(member.traits.prompt_source)]
    if 0 < len(oracle) < len(members):
        problems.append(
            f"{key}: {', '.join(oracle)} is asked by prompts of the true masks (oracle track), the others are not: "
            "tracks are never mixed"
        )
    if len({member.cv for member in members}) > 1:
        problems.append(f"{key}: all members need the same cv: their maps must be of the same images")
    if len({member.traits.task for member in members}) > 1:
        problems.append(f"{key}: all members need the same task: their maps must be of the same classes")
    choose = ensemble.settings.choose
    if choose is not None and choose > len(members):
        problems.append(f"{key}: choose is {choose}, but there are {len(members)} members")
    subsets = {member.subset for member in members}
    settings = ensemble.settings.model_copy(update={"members": tuple(member.exp_id for member in members)})
    subset = subsets.pop() if len(subsets) == 1 else "mixed"
    return replace(ensemble, settings=settings, subset=subset, cv=members[0].cv)

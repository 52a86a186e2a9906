"""Cascades: a promptable model that is asked by what another experiment found, or by prompts it was not trained with.

Nothing is trained: both stages are experiments of the study.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from defectbench.config.base import Settings, suggestion
from defectbench.config.experiment import Experiment
from defectbench.config.families.base import FamilySettings, JobNeeds, Traits
from defectbench.config.prompts import FIXED, NOISY_KINDS, ORACLE, SOURCES, is_oracle, prompts_path

PROMPTABLE = ("sam2",)


class CascadePrompts(Settings):
    """Which prompts are given."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    source: str = Field(
        alias="from",
        description="Id of the experiment that makes the prompts, or 'oracle' (the true masks), or 'fixed' (the "
        "image's size)",
    )
    kind: Literal["box", "points", "box_points", "mask", "full_box"] = Field(
        "box", description="Detectors give boxes alone; maps also points and masks; 'fixed' means full_box"
    )
    noise: float = Field(
        0.0, ge=0, le=1, description="True boxes: standard deviation of each side, share of its length"
    )

    @model_validator(mode="after")
    def _parts_go_together(self) -> Self:
        if (self.source == FIXED) != (SOURCES[self.kind] == FIXED):
            raise ValueError(f"from: {self.source} does not go with kind: {self.kind}; 'fixed' is for full_box alone")
        if self.noise and (self.source != ORACLE or self.kind not in NOISY_KINDS):
            raise ValueError(f"noise moves true boxes: it goes with from: oracle and kind {' or '.join(NOISY_KINDS)}")
        return self


class CascadeSettings(FamilySettings):
    """Two experiments in a row: one gives prompts, a promptable one the masks. Nothing is trained again.

    In ids of experiments _s{seed} may be left out: then they are those with this ``seed``.
    """

    jobs: ClassVar[JobNeeds | None] = None

    model: Literal["cascade"]
    segmenter: str = Field(description="Id of the experiment that is asked: one of the sam2 family")
    prompts: CascadePrompts
    seed: int = Field(42, ge=0, description="Seed of the experiments whose ids name none")

    @cached_property
    def traits(self) -> Traits:
        """Those of its prompts: from the labels, fixed, or another experiment's."""
        return Traits(
            prompt=self.prompts.kind,
            prompt_source=self.prompts.source,
            prompt_file=prompts_path(self.prompts.source, self.prompts.kind, self.prompts.noise),
            sees_image_alone=False,
        )

    @property
    def id_values(self) -> dict[str, Any]:
        """What the experiment's id says besides its named parts: both stages, whatever their seed, and the noise."""
        stages = " ".join(name.removesuffix(f"_s{self.seed}") for name in (self.prompts.source, self.segmenter))
        noise = {"noise": self.prompts.noise} if self.prompts.noise else {}
        return {"stages": hashlib.sha256(stages.encode()).hexdigest()[:6], **noise}


class ResolvedCascade(CascadeSettings):
    """A cascade with the whole ids of its stages, and what it has of them."""

    variant: str
    img_size: str
    threads: int

    @cached_property
    def traits(self) -> Traits:
        """Those of its prompts, and of the segmenter."""
        return replace(super().traits, variant=self.variant, img_size=self.img_size, threads=self.threads)


def resolve_cascades(experiments: Sequence[Experiment], problems: list[str]) -> list[Experiment]:
    """``experiments``, the cascades among them with the whole ids of their stages and what follows from these."""
    stages = [experiment for experiment in experiments if experiment.family != "cascade"]
    found = [
        _resolved(experiment, stages, problems) if experiment.family == "cascade" else experiment
        for experiment in experiments
    ]
    ids = [experiment.exp_id for experiment in found]
    twice = {exp_id for exp_id in ids if ids.count(exp_id) > 1}
    problems += [f"experiments: {exp_id} is listed twice" for exp_id in sorted(twice)]
    return found


def _resolved(cascade: Experiment, stages: list[Experiment], problems: list[str]) -> Experiment:
    settings = cascade.settings
    key = f"experiments: cascade of {settings.prompts.source} and {settings.segmenter}"
    before = len(problems)
    promptable = [stage for stage in stages if stage.family in PROMPTABLE]
    segmenter = _find(settings.segmenter, settings.seed, promptable, f"{key}: segmenter", problems)
    source = None
    if settings.prompts.source not in (ORACLE, FIXED):
        source = _find(settings.prompts.source, settings.seed, stages, f"{key}: prompts.from", problems)
        unfit = _unfit(source, settings.prompts.kind, stages) if source else []
        problems += [f"{key}: {problem}" for problem in unfit]
    if cascade.cv:
        problems.append(f"{key}: cv is for models that are trained; leave it out")
    if len(problems) > before:
        return cascade
    subsets = {stage.subset for stage in (source, segmenter) if stage and stage.traits.uses_labels}
    first = settings.prompts.source if source is None else _called(source)
    prompts = settings.prompts.model_copy(update={"source": source.exp_id if source else settings.prompts.source})
    resolved = ResolvedCascade(
        **settings.model_dump(exclude={"segmenter", "prompts"}),
        segmenter=segmenter.exp_id,
        prompts=prompts,
        variant=f"{first}+{_called(segmenter)}",
        img_size=segmenter.traits.img_size,
        threads=segmenter.traits.threads,
    )
    subset = subsets.pop() if len(subsets) == 1 else "mixed" if subsets else segmenter.subset
    return replace(cascade, settings=resolved, subset=subset)


def _find(name: str, seed: int, among: Sequence[Experiment], key: str, problems: list[str]) -> "Experiment | None":
    """The experiment called ``name``, or ``name`` and the seed."""
    for experiment in among:
        if experiment.exp_id in (name, f"{name}_s{seed}"):
            return experiment
    problems.append(f"{key}: no experiment {name!r}; {suggestion(name, [e.exp_id for e in among])}")
    return None


def _unfit(source: Experiment, kind: str, stages: Sequence[Experiment]) -> list[str]:
    """Why ``source`` cannot give prompts of ``kind``."""
    problems = []
    if source.traits.is_detector and kind != "box":
        problems.append(f"{source.exp_id} gives boxes alone, no masks that {kind} could be drawn from: use kind: box")
    if source.cv:
        problems.append(f"{source.exp_id} is cross-validated: its maps are not of the val images alone")
    members = [stage for stage in stages if stage.exp_id in source.traits.members]
    if any(is_oracle(one.traits.prompt_source) for one in (source, *members)):
        problems.append(f"{source.exp_id} is itself asked by prompts of the true masks: from it follows no prediction")
    return problems


def _called(stage: Experiment) -> str:
    """Its model and variant, as they stand in ids: there underscores part the settings."""
    return (f"{stage.model}-{stage.traits.variant}" if stage.traits.variant else stage.model).replace("_", "-")

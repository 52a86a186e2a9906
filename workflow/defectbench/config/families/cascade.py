"""Cascades: a promptable model prompted by another experiment's predictions, or by prompts it was not trained with.

Nothing is trained: both stages are experiments of the study.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from defectbench.config.base import Settings
from defectbench.config.experiment import Experiment
from defectbench.config.family_settings import FamilySettings, JobNeeds, Traits
from defectbench.config.names import find_one
from defectbench.config.prompts import FIXED, NOISY_KINDS, ORACLE, SOURCES, is_oracle, prompts_path

PROMPTABLE = ("sam2",)


class CascadePrompts(Settings):
    """Source and kind of the prompts."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    source: str = Field(
        alias="from",
        description="Name or id of the experiment that makes the prompts, or 'oracle' (the true masks), or 'fixed' "
        "(the image's size)",
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
    """Two experiments in a row: one makes prompts, a promptable one predicts masks from them. Nothing is trained again.

    In ids of experiments _s{seed} may be left out: then they are those with this ``seed``.
    """

    jobs: ClassVar[JobNeeds | None] = None

    model: Literal["cascade"]
    segmenter: str = Field(description="Name or id of the prompted experiment: one of the sam2 family")
    prompts: CascadePrompts
    seed: int = Field(42, ge=0, description="Seed of the experiments whose names or ids leave it out")

    @cached_property
    def traits(self) -> Traits:
        """Traits of its prompts: from the labels, fixed, or another experiment's."""
        return Traits(
            prompt=self.prompts.kind,
            prompt_source=self.prompts.source,
            prompt_file=prompts_path(self.prompts.source, self.prompts.kind, self.prompts.noise),
            sees_image_alone=False,
        )

    def id_values(self, combined: Sequence[str]) -> dict[str, Any]:
        """A digest of both stages, without their seed if it is this one, and the noise."""
        stages = combined or (self.prompts.source, self.segmenter)
        text = " ".join(stage.removesuffix(f"_s{self.seed}") for stage in stages)
        noise = {"noise": self.prompts.noise} if self.prompts.noise else {}
        return {"stages": hashlib.sha256(text.encode()).hexdigest()[:6], **noise}


class ResolvedCascade(CascadeSettings):
    """A cascade with the whole ids of its stages, and the traits that it has from them."""

    variant: str
    img_size: str
    threads: int

    @cached_property
    def traits(self) -> Traits:
        """Traits of its prompts and of the segmenter."""
        return replace(super().traits, variant=self.variant, img_size=self.img_size, threads=self.threads)


def resolve_cascade(
    cascade: Experiment, settings: CascadeSettings, stages: Sequence[Experiment], key: str, problems: list[str]
) -> Experiment:
    """``cascade``, whose settings are ``settings``, with the whole ids of its stages and the traits it has from them.

    Mistakes are added to ``problems``, with the key path ``key`` of the cascade's entry.
    """
    promptable = [stage for stage in stages if stage.family in PROMPTABLE]
    segmenter = find_one(settings.segmenter, promptable, f"{key}.segmenter", problems, settings.seed)
    source = None
    if settings.prompts.source not in (ORACLE, FIXED):
        source = find_one(settings.prompts.source, stages, f"{key}.prompts.from", problems, settings.seed)
        obstacles = _obstacles(source, settings.prompts.kind, stages) if source else []
        problems += [f"{key}.prompts.from: {obstacle}" for obstacle in obstacles]
    if cascade.cv:
        problems.append(f"{key}.cv: cv is for models that are trained; leave it out")
    if segmenter is None:
        return cascade
    subsets = {stage.subset for stage in (source, segmenter) if stage and stage.traits.uses_labels}
    source_id = source.exp_id if source else settings.prompts.source
    resolved = ResolvedCascade(
        model=settings.model,
        seed=settings.seed,
        segmenter=segmenter.exp_id,
        prompts=settings.prompts.model_copy(update={"source": source_id}),
        variant=f"{_model_name(source) if source else settings.prompts.source}+{_model_name(segmenter)}",
        img_size=segmenter.traits.img_size,
        threads=segmenter.traits.threads,
    )
    return replace(
        cascade,
        settings=resolved,
        subset=subsets.pop() if len(subsets) == 1 else "mixed" if subsets else segmenter.subset,
        combined=(source.unabridged_id if source else source_id, segmenter.unabridged_id),
    )


def _obstacles(source: Experiment, kind: str, stages: Sequence[Experiment]) -> list[str]:
    """Reasons why ``source`` cannot make prompts of ``kind``."""
    problems = []
    if source.traits.is_detector and kind != "box":
        problems.append(f"{source.name} gives boxes alone, no masks that {kind} could be drawn from: use kind: box")
    if source.cv:
        problems.append(f"{source.name} is cross-validated: its maps are not of the val images alone")
    members = [stage for stage in stages if stage.exp_id in source.traits.members]
    if any(is_oracle(one.traits.prompt_source) for one in (source, *members)):
        problems.append(f"{source.name} is itself prompted from the true masks: its maps are no predictions")
    return problems


def _model_name(stage: Experiment) -> str:
    """Model and variant as ids have them: there underscores separate the settings."""
    return (f"{stage.model}-{stage.traits.variant}" if stage.traits.variant else stage.model).replace("_", "-")

"""One experiment, and the id that names it."""

import hashlib
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from typing import Any

from pydantic import Field, field_validator

from defectbench.config.base import Settings
from defectbench.config.families.base import FamilySettings, Traits


class ExperimentKeys(Settings):
    """Keys that an entry of the experiments list has besides those of its family."""

    subset: int | str = Field("full", description="Number of training images, or 'full'")
    cv: int | None = Field(
        None,
        ge=2,
        description="Cross-validation over the train and val images: that many folds, as split.n_folds says; the "
        "test maps are the mean over the folds' models, thresholds are chosen out of fold",
    )

    @field_validator("subset", mode="before")
    @classmethod
    def _number_may_be_text(cls, value: Any) -> Any:
        # Numbers that Snakemake reads from its command line are text.
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @property
    def is_valid(self) -> bool:
        """Whether the subset is 'full' or a positive number."""
        return self.subset == "full" or (isinstance(self.subset, int) and self.subset > 0)


# These are named parts of the experiment id, or change no result; every other key appears there only if it is not the
# default.
ID_PARTS = {
    *("model", "encoder", "size", "scale", "version", "init", "prompt", "img_size", "seed"),
    *("cache_embeddings", "checkpoint_every", "workers"),
}


@dataclass(frozen=True)
class Experiment:
    """One trained and scored model."""

    family: str
    subset: int | str
    settings: FamilySettings
    cv: int = 0
    """Number of folds; 0 without cross-validation. Of an ensemble that of its members."""

    @property
    def model(self) -> str:
        """Name of the architecture or method."""
        return self.settings.model

    @property
    def traits(self) -> Traits:
        """What may be known of it without knowing its family."""
        return self.settings.traits

    @property
    def seed(self) -> int:
        """Seed of the subset and of the training."""
        return self.settings.seed

    @cached_property
    def training(self) -> "Experiment":
        """The experiment whose training this one has: itself, or the one that predicts by the defaults.

        So whatever a study holds, networks that differ in ``prediction_keys`` alone are trained once, under one id.
        """
        fields = type(self.settings).model_fields
        plain = {key: fields[key].default for key in self.settings.prediction_keys - self.settings.idle_keys}
        if all(getattr(self.settings, key) == value for key, value in plain.items()):
            return self
        return replace(self, settings=type(self.settings).model_validate(self.settings.model_dump() | plain))

    @cached_property
    def exp_id(self) -> str:
        """``{model}_{subset}_{prompt}_{imgsz}[_settings that differ from the defaults]_s{seed}``.

        A function of this experiment alone, so it never changes with the rest of the configuration.
        """
        return f"{self.id_without_seed}_s{self.seed}"

    @cached_property
    def id_without_seed(self) -> str:
        """What trainings with different seeds share."""
        name = f"{self.model}-{_token(self.traits.variant)}" if self.traits.variant else self.model
        defaults = self.settings.defaults
        unnamed = ID_PARTS | self.settings.idle_keys
        values = self.settings.id_values
        changed = [
            f"{key.replace('_', '-')}-{_token(value)}"
            for key, value in values.items()
            if key not in unnamed and value != defaults.get(key)
        ]
        # The rules tell by this last part that an experiment has folds.
        folds = [f"cv{self.cv}"] if self.cv else []
        return "_".join([name, str(self.subset), _token(self.traits.prompt), self.traits.img_size, *changed, *folds])


def _token(value: Any) -> str:
    if isinstance(value, dict):
        value = "-".join(f"{key}-{_token(part)}" for key, part in sorted(value.items()))
    elif isinstance(value, list):
        value = f"{len(value)}-{hashlib.sha256(' '.join(map(str, value)).encode()).hexdigest()[:6]}"
    elif isinstance(value, str) and "/" in value:
        # A path: its file's name is legible, the digest of the whole keeps paths apart.
        value = f"{PurePath(value).stem}-{hashlib.sha256(value.encode()).hexdigest()[:6]}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^A-Za-z0-9.+-]", "-", text)

"""One experiment: its family, settings and training images, and the id derived from them."""

import hashlib
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, field_validator

from defectbench.config.base import Settings
from defectbench.config.budget import BudgetSettings
from defectbench.config.family_settings import FamilySettings, Traits
from defectbench.config.prompts import FIXED, ORACLE

MAX_ID_LENGTH = 120
"""Characters of an experiment id: it is the name of a folder, and part of file names."""
_SEED_LENGTH = len("_s4294967295")  # of the largest seed: the rest of an id is the same for all seeds
MAX_NAME_LENGTH = 60
RESERVED_NAMES = frozenset({ORACLE, FIXED, "full", "none", "null", "mixed"})

# These are named parts of the experiment id, or change no result; every other key appears there only if it is not the
# default.
ID_PARTS = {
    *("model", "encoder", "size", "scale", "version", "init", "prompt", "img_size", "seed"),
    "cache_embeddings",
}


class ExperimentKeys(Settings):
    """Keys that an entry of the experiments list has besides those of its family."""

    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=MAX_NAME_LENGTH,
        description="Name in tables, plots and references to the experiment, instead of its id. In a grid the values "
        "that vary are added, e.g. unet_subset-100_lr-0.001; the name alone then refers to all of the grid. No folder "
        "or training depends on it",
    )
    subset: int | str = Field("full", description="Number of training images, or 'full'")
    cv: int | None = Field(
        None,
        ge=2,
        description="Cross-validation over the train and val images: that many folds, as split.n_folds says; the "
        "test maps are the mean over the folds' models, thresholds are chosen out of fold",
    )

    @field_validator("name")
    @classmethod
    def _is_not_reserved(cls, name: str | None) -> str | None:
        if name in RESERVED_NAMES:
            raise ValueError(f"{name!r} has a meaning of its own; choose another name")
        return name

    @field_validator("subset", mode="before", json_schema_input_type=Literal["full"] | PositiveInt)
    @classmethod
    def _convert_number(cls, value: Any) -> Any:
        # Numbers that Snakemake reads from its command line are text.
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @field_validator("subset")
    @classmethod
    def _is_full_or_positive(cls, value: int | str) -> int | str:
        if value != "full" and not (isinstance(value, int) and value > 0):
            raise ValueError(f"{value!r} is not allowed; allowed: 'full' or a number of images")
        return value


@dataclass(frozen=True)
class Experiment:
    """One trained and scored model."""

    family: str
    subset: int | str
    settings: FamilySettings
    cv: int = 0
    """Number of folds; 0 without cross-validation. Of an ensemble that of its members."""
    given_name: str = ""
    """Name in the configuration, with the values that vary in its grid; empty if it has none."""
    shared_names: tuple[str, ...] = ()
    """Names that it shares with others of its grid: with all seeds, and with all of the grid."""
    combined: tuple[str, ...] = ()
    """Unabridged ids of the experiments that it combines: members of an ensemble, stages of a cascade."""

    @property
    def model(self) -> str:
        """Name of the architecture or method."""
        return self.settings.model

    @property
    def traits(self) -> Traits:
        """Traits that can be read without knowing its family."""
        return self.settings.traits

    @property
    def seed(self) -> int:
        """Seed of the subset and of the training."""
        return self.settings.seed

    @cached_property
    def training(self) -> Self:
        """The experiment whose training this one has: itself, or the one that predicts by the defaults.

        So whatever a study holds, networks that differ in ``prediction_keys`` alone are trained once, under one id.
        """
        defaults = self.settings.defaults
        plain = {key: defaults[key] for key in self.settings.prediction_keys - self.settings.inactive_keys}
        if all(getattr(self.settings, key) == value for key, value in plain.items()):
            return self
        settings = type(self.settings).model_validate(self.settings.model_dump() | plain)
        return replace(self, settings=settings, given_name="", shared_names=())

    @property
    def name(self) -> str:
        """Name that people read: the given one, or else the id."""
        return self.given_name or self.exp_id

    @property
    def entry(self) -> str:
        """Name of its entry in the configuration; empty if it has none."""
        return self.shared_names[-1] if self.shared_names else self.given_name

    @cached_property
    def exp_id(self) -> str:
        """``{model}_{subset}_{prompt}_{imgsz}[_settings that differ from the defaults][_cvK]_s{seed}``.

        A function of this experiment alone, so it never changes with the rest of the configuration. An id of more than
        MAX_ID_LENGTH characters loses its last settings to a digest of all: ``..._{8 hex digits}[_cvK]_s{seed}``.
        """
        room = MAX_ID_LENGTH - _SEED_LENGTH
        if len(self.unabridged_without_seed) <= room:
            return self.unabridged_id
        digest = hashlib.sha256(self.unabridged_without_seed.encode()).hexdigest()[:8]
        end = "_".join(["", digest, *self._folds])
        head = _join_up_to(room - len(end), self._named_parts, self._changed_settings)
        return f"{head}{end}_s{self.seed}"

    @property
    def id_without_seed(self) -> str:
        """The id without its end ``_s{seed}``."""
        return self.exp_id.removesuffix(f"_s{self.seed}")

    @property
    def unabridged_id(self) -> str:
        """The id with all settings, however long."""
        return f"{self.unabridged_without_seed}_s{self.seed}"

    @cached_property
    def unabridged_without_seed(self) -> str:
        """Text that trainings share if they differ in nothing but the seed, and no others."""
        return "_".join([*self._named_parts, *self._changed_settings, *self._folds])

    @property
    def _named_parts(self) -> list[str]:
        name = f"{self.model}-{id_token(self.traits.variant)}" if self.traits.variant else self.model
        return [name, str(self.subset), id_token(self.traits.prompt), self.traits.img_size]

    @property
    def _changed_settings(self) -> list[str]:
        defaults = self.settings.defaults
        excluded = ID_PARTS | self.settings.inactive_keys
        values = self.settings.id_values(self.combined)
        # The budget says least of a model: it comes last, where a long id is shortened.
        return [
            id_token({key: values[key]})
            for key in sorted(values, key=lambda key: key in BudgetSettings.model_fields and key != "input_channels")
            if key not in excluded and values[key] != defaults.get(key)
        ]

    @property
    def _folds(self) -> list[str]:
        # The rules tell by this part, the last but the seed, that an experiment has folds.
        return [f"cv{self.cv}"] if self.cv else []


def id_token(value: Any) -> str:
    """``value`` in the characters that an id may have, without underscores: these separate its parts."""
    if isinstance(value, dict):
        value = "-".join(f"{key}-{id_token(part)}" for key, part in sorted(value.items()))
    elif isinstance(value, list) and all(isinstance(part, int) for part in value):
        value = "+".join(map(str, value))
    elif isinstance(value, list):
        value = f"{len(value)}-{hashlib.sha256(' '.join(map(str, value)).encode()).hexdigest()[:6]}"
    elif isinstance(value, str) and "/" in value:
        # A path: its file's name is legible, the digest of the whole keeps paths apart.
        value = f"{PurePath(value).stem}-{hashlib.sha256(value.encode()).hexdigest()[:6]}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^A-Za-z0-9.+-]", "-", text)


def _join_up_to(length: int, named_parts: list[str], settings: list[str]) -> str:
    """All named parts, the first of them shortened if need be, and as many settings as fit into ``length``."""
    name, *others = named_parts
    text = "_".join([name[: length - len("_".join(["", *others]))], *others])
    for setting in settings:
        if len(text) + len(setting) + 1 > length:
            break
        text += f"_{setting}"
    return text

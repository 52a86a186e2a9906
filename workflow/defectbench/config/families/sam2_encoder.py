"""Settings that all models on SAM 2's encoder share."""

import re
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from defectbench.config.augment import AugmentSettings
from defectbench.config.base import ConfigError
from defectbench.config.family_settings import JobNeeds, Traits
from defectbench.config.train import TrainSettings

SIZES = ("nano", "tiny", "small", "base_plus", "large")
_BASE_NAME = re.compile(rf"sam(2|2\.1)_hiera_({'|'.join(SIZES)})(?:_random_s(\d+))?")


def parse_base_name(name: str) -> tuple[str, str, int | None]:
    """Version, size, and seed of random weights (None: pretrained) of a :attr:`Sam2EncoderSettings.base_name`.

    Raises:
        ConfigError: if ``name`` is none.
    """
    match = _BASE_NAME.fullmatch(name)
    if match is None:
        raise ConfigError([f"{name!r} names no weights; allowed: sam2_hiera_SIZE or sam2.1_hiera_SIZE, {SIZES}"])
    version, size, seed = match.groups()
    return version, size, None if seed is None else int(seed)


class Sam2EncoderSettings(TrainSettings):
    """SAM 2's encoder: its base weights, and how it is adapted."""

    jobs: ClassVar[JobNeeds | None] = JobNeeds(train_mb=16000, predict_minutes=480)

    # Protocol values that differ from those of other families, by the value of ``tune``.
    PROTOCOL: ClassVar[dict[str, dict[str, Any]]] = {}

    if TYPE_CHECKING:
        # Every family declares them, each with its own default and allowed values.
        tune: str
        lora_target: str

    size: Literal["nano", "tiny", "small", "base_plus", "large"] = Field(
        "tiny", description="nano: a reduced network for tests and demos, which has no published weights"
    )
    version: Literal["2", "2.1"] = "2.1"
    init: Literal["pretrained", "random"] = Field(
        "pretrained", description="random: weights drawn with the seed, for tests and demos; every row says so"
    )
    lora_rank: Literal[4, 8, 16, 32] = 8
    lora_alpha: float = Field(16, gt=0)
    lora_dropout: float = Field(0.05, ge=0, lt=1)
    dora: bool = Field(False, description="Weight-decomposed LoRA (S.-Y. Liu et al., ICML 2024)")
    rslora: bool = Field(False, description="Scale by alpha / sqrt(rank), not alpha / rank (D. Kalajdzievski, 2023)")
    gradient_checkpointing: bool = Field(
        False, description="Compute the encoder's blocks again in the backward pass: less memory, slower"
    )
    cache_embeddings: bool = Field(
        False,
        description="Keep a frozen encoder's embeddings on disk, about 16 bytes a pixel; no result depends on it",
    )
    augment: AugmentSettings = Field(AugmentSettings(), description="steel, none, or the keys that differ from steel")

    @field_validator("version", mode="before", json_schema_input_type=Literal["2", "2.1"] | float)
    @classmethod
    def _version_is_text(cls, value: Any) -> Any:
        # YAML reads 2.1 as a number.
        return str(value) if isinstance(value, int | float) else value

    @model_validator(mode="before")
    @classmethod
    def _fill_protocol(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return cls._protocol(values.get("tune", cls.model_fields["tune"].default)) | values

    @model_validator(mode="after")
    def _weights_are_published(self) -> Self:
        if self.size == "nano" and self.init != "random":
            raise ValueError("size 'nano' has no published weights: set init: random, or another size")
        return self

    @classmethod
    def _protocol(cls, tune: Any) -> dict[str, Any]:
        return cls.PROTOCOL.get(tune, {}) if isinstance(tune, str) else {}

    @property
    def defaults(self) -> dict[str, Any]:
        """Key -> value if it is not given; some follow from ``tune``."""
        return super().defaults | self._protocol(self.tune)

    @cached_property
    def traits(self) -> Traits:
        """Traits of a network on SAM 2's encoder; the variant is version and size, marked if the weights are random."""
        return replace(
            super().traits,
            variant=f"{self.version}-{self.size}" + ("-random" if self.init == "random" else ""),
            base_name=self.base_name,
            caches_features=self.cache_embeddings,
        )

    @property
    def base_name(self) -> str:
        """Name of the file of base weights, without its suffix."""
        name = f"sam{self.version}_hiera_{self.size}"
        return f"{name}_random_s{self.seed}" if self.init == "random" else name

    @property
    def inactive_keys(self) -> set[str]:
        """Keys that have no effect beside the others."""
        lora = {"lora_rank", "lora_alpha", "lora_dropout", "dora", "rslora"}
        return super().inactive_keys | (set() if self.tune == "lora" else lora)

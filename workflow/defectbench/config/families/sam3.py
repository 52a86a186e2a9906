"""Settings of SAM 3, prompted with text: zero-shot, with LoRA or fine-tuned. Fixed phrases: the automatic track."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from defectbench.config.augment import AugmentSettings
from defectbench.config.base import MERGED, ConfigError
from defectbench.config.family_settings import JobNeeds, Traits
from defectbench.config.prompts import SOURCES
from defectbench.config.train import TrainSettings

HUB = "facebook/sam3"
"""Repository of the official weights on the model hub: gated, so a token and an accepted licence are needed."""

_BASE_NAME = re.compile(r"sam3(?:_nano_random_s(\d+))?")
_INFERENCE_KEYS = {
    *("model", "task", "size", "init", "tune", "phrases", "map", "score_threshold", "img_size", "resize", "tta"),
    *("cache_embeddings", "input_channels", "threads", "seed"),
}


def parse_base_name(name: str) -> int | None:
    """Seed of random weights (None: pretrained) of a :attr:`Sam3Settings.base_name`.

    Raises:
        ConfigError: if ``name`` is none.
    """
    match = _BASE_NAME.fullmatch(name)
    if match is None:
        raise ConfigError([f"{name!r} names no weights; allowed: sam3, sam3_nano_random_sSEED"])
    return None if match[1] is None else int(match[1])


class Sam3Settings(TrainSettings):
    """SAM 3 prompted with text. Every image is squashed to the size of its position grid.

    Unless given, ``tune: full`` has lr 1e-5, and both ``full`` and ``lora`` wd 0.05; ``size: nano`` has img_size 112.
    """

    prediction_keys: ClassVar[frozenset[str]] = TrainSettings.prediction_keys | {"score_threshold"}
    jobs: ClassVar[JobNeeds | None] = JobNeeds(train_mb=24000, predict_mb=16000, predict_minutes=480, weights_mb=12000)
    weights_rule: ClassVar[str | None] = "weights_sam3"
    weights_listed: ClassVar[bool] = False
    base_pattern: ClassVar[str] = "sam3[^/]*"

    # Side of the position grid unless given, and of the patches that it is a multiple of, by ``size``.
    SIDES: ClassVar[dict[str, str]] = {"official": "1008", "nano": "112"}
    PATCHES: ClassVar[dict[str, int]] = {"official": 14, "nano": 8}
    input_multiple: ClassVar[int] = 1
    _DECIDING: ClassVar[tuple[str, ...]] = ("size", "tune", "map", "presence_weight")
    """Keys that defaults of others follow from."""

    model: Literal["sam3"] = "sam3"
    size: Literal["official", "nano"] = Field(
        "official", description="nano: a reduced network for tests and demos, which has no published weights"
    )
    init: Literal["pretrained", "random"] = Field(
        "pretrained", description="random: the weights of a nano drawn with the seed; every row says so"
    )
    tune: Literal["none", "lora", "full"] = Field(
        "none", description="none: zero-shot, the weights as they are; lora: adapters; full: all weights"
    )
    phrases: list[str] | dict[str, list[str]] | None = Field(
        None,
        description="Text prompts: phrases of one merged map, or class name -> phrases; null: the class names. "
        "Probabilities of several phrases are averaged; a list of lists is a grid",
    )
    map: Literal["semantic", "instances"] = Field(
        "semantic", description="Output used as map: the semantic map, or the union of the predicted instances"
    )
    score_threshold: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="p = 0.5 where a mask with this score is: that of an instance, for the semantic map the presence; "
        "0: masks alone count. Unless given, 0.3 for instances; for the semantic map 0.5, if no presence is trained 0",
    )
    img_size: str = Field(
        "1008",
        pattern=r"^[1-9]\d*(x[1-9]\d*)?$",
        description="Side of the position grid in pixels, for a nano any, or HEIGHTxWIDTH, in multiples of 8",
    )
    resize: Literal["squash"] = "squash"
    lora_target: str = Field(
        r".*\.[qkvo]_proj", description="Regular expression of the names of the layers that get adapters"
    )
    lora_rank: int = Field(8, ge=1)
    lora_alpha: float = Field(16, gt=0)
    lora_dropout: float = Field(0.05, ge=0, lt=1)
    dora: bool = Field(False, description="Weight-decomposed LoRA (S.-Y. Liu et al., ICML 2024)")
    loss: Literal["bce", "dice", "combo", "dice_bce", "dice_focal", "tversky", "lovasz"] = Field(
        "dice_focal", description="Loss of the semantic map"
    )
    presence_weight: float = Field(
        1.0, ge=0, description="Weight of the presence BCE, which teaches the network that clean images have no defect"
    )
    instance_weight: float = Field(
        0.0, ge=0, description="Weight of the loss of instances matched to components of the true masks; 0: without"
    )
    gradient_checkpointing: bool = Field(
        False, description="Compute the image encoder's layers again in the backward pass: less memory, slower"
    )
    cache_embeddings: bool = Field(
        False,
        description="Zero-shot: keep the image encoder's features on disk, 21 MB an image; changes no result",
    )
    augment: AugmentSettings = Field(AugmentSettings(), description="steel, none, or the keys that differ from steel")
    batch_size: int = Field(1, ge=1)
    accumulate: int = Field(8, ge=1, description="Batches whose gradients make one step")

    @cached_property
    def traits(self) -> Traits:
        """Traits of a network prompted with phrases, the same for all images; the variant marks a nano."""
        return replace(
            super().traits,
            variant="nano-random" if self.size == "nano" else "",
            prompt="text",
            prompt_source=SOURCES["text"],
            uses_labels=self.tune != "none",
            unsearchable="" if self.tune != "none" else "no network is trained",
            base_name=self.base_name,
            caches_features=self.cache_embeddings,
            values_by_class={"phrases": self.phrases} if isinstance(self.phrases, dict) else {},
        )

    @property
    def base_name(self) -> str:
        """Name of the file of base weights, without its suffix."""
        return f"sam3_nano_random_s{self.seed}" if self.size == "nano" else "sam3"

    @property
    def grid_size(self) -> tuple[int, int]:
        """Height and width of the position grid, pixels."""
        sides = [int(side) for side in self.img_size.split("x")]
        return sides[0], sides[-1]

    def warnings(self, class_names: Sequence[str]) -> list[str]:
        """Class names that are prompts and name nothing that can be seen."""
        numbered = [name for name in class_names if re.fullmatch(r"(class|defect|type)?[ _-]*\d+", name, re.IGNORECASE)]
        if self.phrases is not None or not numbered:
            return []
        return [f"prompted with class names that describe nothing: {', '.join(numbered)}; give phrases"]

    def id_values(self, combined: Sequence[str]) -> dict[str, Any]:
        """Settings, with digests of phrases and expressions, whose characters an id cannot have."""
        values = super().id_values(combined)
        for key in ("phrases", "lora_target"):
            if values[key] != self.defaults[key]:
                digest = hashlib.sha256(json.dumps(values[key], sort_keys=True).encode()).hexdigest()[:6]
                values[key] = f"{values[key][0]}-{digest}" if isinstance(values[key], list) else digest
        return values

    def phrase_groups(self, class_names: Sequence[str]) -> dict[str, list[str]]:
        """Class name, or 'merged', -> the phrases that are averaged.

        With the task 'merged' the map is the maximum over the groups; else each group is the map of its class.

        Raises:
            ConfigError: if the phrases name other classes.
        """
        if self.phrases is None:
            return {name: [re.sub(r"[_-]+", " ", name)] for name in class_names}
        if isinstance(self.phrases, list):
            return {MERGED: self.phrases}
        if set(self.phrases) != set(class_names):
            raise ConfigError([f"phrases names {', '.join(self.phrases)}; it must name {', '.join(class_names)}"])
        return {name: self.phrases[name] for name in class_names}

    @property
    def defaults(self) -> dict[str, Any]:
        """Key -> value if it is not given; some follow from others."""
        return super().defaults | self._protocol({key: getattr(self, key) for key in self._DECIDING})

    @property
    def inactive_keys(self) -> set[str]:
        """Keys that have no effect beside the others."""
        if self.tune == "none":
            return set(type(self).model_fields) - _INFERENCE_KEYS
        lora = {"lora_target", "lora_rank", "lora_alpha", "lora_dropout", "dora"}
        return super().inactive_keys | (lora if self.tune == "full" else set())

    @classmethod
    def _protocol(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Defaults that follow from the values of the keys ``_DECIDING``, which may be invalid."""
        trained = given["tune"] != "none"
        uses_presence = trained and given["presence_weight"] != 0
        defaults: dict[str, Any] = {"score_threshold": 0.5 if uses_presence else 0.0}
        if given["map"] == "instances":
            defaults["score_threshold"] = 0.3
        if given["size"] == "nano":
            defaults["img_size"] = cls.SIDES["nano"]
        if trained:
            defaults["wd"] = 0.05
        if given["tune"] == "full":
            defaults["lr"] = 1e-5
        return defaults

    @model_validator(mode="before")
    @classmethod
    def _fill_protocol(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return cls._protocol({key: values.get(key, cls.model_fields[key].default) for key in cls._DECIDING}) | values

    @field_validator(
        "phrases", mode="before", json_schema_input_type=str | list[str] | dict[str, str | list[str]] | None
    )
    @classmethod
    def _one_phrase_is_a_list(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: [phrases] if isinstance(phrases, str) else phrases for name, phrases in value.items()}
        return [value] if isinstance(value, str) else value

    @field_validator("phrases")
    @classmethod
    def _phrases_are_not_empty(cls, value: Any) -> Any:
        lists = value.values() if isinstance(value, dict) else [value] if value is not None else []
        for phrases in lists:
            if not phrases or any(not phrase.strip() for phrase in phrases) or len(set(phrases)) < len(phrases):
                raise ValueError(f"{phrases!r}: give at least one phrase, each once, none of them empty")
        return value

    @field_validator("lora_target")
    @classmethod
    def _target_is_an_expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _parts_go_together(self) -> Self:
        if self.size == "nano" and self.init != "random":
            raise ValueError("size 'nano' has no published weights: set init: random, or another size")
        if self.init == "random" and self.size != "nano":
            raise ValueError("init 'random' is for size 'nano': the official network does not learn from scratch here")
        if self.size == "official" and self.img_size != self.SIDES["official"]:
            raise ValueError(f"img_size {self.img_size}: the position grid of the official network has side 1008")
        if any(side % self.PATCHES[self.size] for side in self.grid_size):
            raise ValueError(f"img_size {self.img_size}: allowed: multiples of {self.PATCHES[self.size]}")
        if self.task == "per_class" and isinstance(self.phrases, list):
            raise ValueError("task 'per_class' needs phrases by class: class name -> phrases")
        if self.cache_embeddings and self.tune != "none":
            raise ValueError("cache_embeddings needs a frozen image encoder: tune 'none'")
        if self.map == "instances" and self.tune != "none" and not self.instance_weight:
            raise ValueError("a trained map 'instances' needs instance_weight above 0: else no instance is trained")
        return self

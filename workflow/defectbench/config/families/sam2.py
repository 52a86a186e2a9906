"""Settings of SAM 2 as a promptable model: zero-shot, fine-tuned, or with LoRA."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from defectbench.config.families.sam2_encoder import Sam2EncoderSettings
from defectbench.config.family_settings import Traits
from defectbench.config.prompts import FIXED, SOURCES, is_oracle, prompts_path

_INFERENCE_KEYS = {
    *("model", "task", "size", "version", "init", "tune", "prompt"),
    *("object_score_cut", "img_size", "resize", "mode", "crop", "prediction", "overlap"),
    *("cache_embeddings", "input_channels", "threads", "seed"),
}


class Sam2Settings(Sam2EncoderSettings):
    """SAM 2 or 2.1, prompted; one map of any defect.

    Unless given, ``tune: full`` has lr 1e-5, and ``tune: lora`` lr 1e-3 and wd 0.05.
    """

    PROTOCOL: ClassVar[dict[str, dict[str, Any]]] = {"full": {"lr": 1e-5}, "lora": {"lr": 1e-3, "wd": 0.05}}

    weights_rule: ClassVar[str | None] = "weights_sam2"
    base_pattern: ClassVar[str] = "sam2[^/]*"

    model: Literal["sam2"] = "sam2"
    task: Literal["merged"] = Field("merged", description="One map of any defect: prompts name no class")
    tune: Literal["none", "full", "lora"] = Field("none", description="none: zero-shot, the weights as they are")
    prompt: Literal["box", "points", "box_points", "full_box"] = Field(
        "box", description="Derived from the true masks (oracle track), but for full_box, the box of the whole image"
    )
    object_score_cut: bool | None = Field(
        None,
        description="Whether a prompt has no mask if SAM 2's object score is at most 0; null: not with oracle prompts, "
        "whose object is there, but with all others",
    )
    train: Literal["all", "decoder", "encoder", "prompt_encoder"] = Field("all", description="What tune: full trains")
    lora_target: Literal["encoder", "encoder_mlp", "decoder", "both"] = Field(
        "both",
        description="Layers with adapters: attention of the encoder, the same and its MLPs, attention of the decoder, "
        "or of both; the decoder's output layers are always trained fully",
    )
    layer_decay: float = Field(1.0, gt=0, le=1, description="Factor on lr from each encoder block to the one below it")
    recipe: Literal["published", "dice_focal"] = Field(
        "published", description="Loss: SAM 2's own (focal 20, Dice 1, IoU 1, object score 1), or Dice + focal BCE"
    )
    objects_per_image: int = Field(3, ge=1, description="Largest number of objects of an image in a training step")
    box_noise: float = Field(
        0.1, ge=0, description="Training boxes: standard deviation of each side, share of its length"
    )
    mixed_prompts: bool = Field(
        False,
        description="Training steps begin with a box or one point, drawn at random, as SAM 2's own do, not with "
        "'prompt'",
    )
    train_prompts: str | None = Field(
        None,
        description="Name or id of a cross-validated experiment: training steps are prompted with the boxes of its "
        "out-of-fold predictions of the training images, not with noisy true boxes. For the segmenter of a cascade",
    )
    correction_clicks: int = Field(0, ge=0, le=7, description="Training: further clicks, each where the mask is wrong")

    @cached_property
    def traits(self) -> Traits:
        """Traits of the encoder and of the prompts."""
        source = SOURCES[self.prompt]
        return replace(
            super().traits,
            prompt=self.prompt,
            prompt_source=source,
            prompt_file=prompts_path(source, self.prompt),
            sees_image_alone=source == FIXED,
            train_prompt_source=self.train_prompts or "",
            uses_labels=self.tune != "none",
            unsearchable="" if self.tune != "none" else "no network is trained",
        )

    def cuts_at_object_score(self, source: str) -> bool:
        """Whether masks of prompts from ``source`` are cut at the object score."""
        return not is_oracle(source) if self.object_score_cut is None else self.object_score_cut

    @property
    def trains_all_tokens(self) -> bool:
        """Whether the mask tokens that answer one click are trained like that of boxes: by SAM 2's authors, or here."""
        return self.tune == "none" or self.mixed_prompts

    @property
    def frozen_encoder(self) -> bool:
        """Whether the image encoder is not trained, so that its embeddings can be cached."""
        frozen = {"full": self.train in ("decoder", "prompt_encoder"), "lora": self.lora_target == "decoder"}
        return frozen.get(self.tune, True)

    @property
    def inactive_keys(self) -> set[str]:
        """Keys that have no effect beside the others."""
        if self.tune == "none":
            return super().inactive_keys | (set(type(self).model_fields) - _INFERENCE_KEYS)
        inactive = {"train", "layer_decay"} if self.tune == "lora" else {"lora_target"}
        return super().inactive_keys | inactive

    def id_values(self, combined: Sequence[str]) -> dict[str, Any]:
        """All settings; of ``train_prompts`` a digest, without the seed if it is this one."""
        values = super().id_values(combined)
        if self.train_prompts:
            source = next(iter(combined), self.train_prompts).removesuffix(f"_s{self.seed}")
            values["train_prompts"] = hashlib.sha256(source.encode()).hexdigest()[:6]
        return values

    @model_validator(mode="after")
    def _parts_go_together(self) -> Self:
        if self.layer_decay < 1 and self.schedule == "one_cycle":
            raise ValueError("layer_decay below 1 does not go with schedule 'one_cycle', which has one lr for all")
        if self.tta != "none":
            raise ValueError("tta changes the image, and prompts are places in it: leave tta out")
        if self.mixed_prompts and self.prompt == "full_box":
            raise ValueError("mixed_prompts mixes boxes and points of objects: it does not go with prompt 'full_box'")
        if self.train_prompts and (self.tune == "none" or self.prompt != "box" or self.mixed_prompts):
            raise ValueError("train_prompts are boxes for a training: with it give tune and prompt: box, no others")
        if self.train_prompts and self.mode == "pre_crops":
            raise ValueError("train_prompts are of whole images: it goes with mode full or crops")
        if self.cache_embeddings and not self.frozen_encoder:
            raise ValueError("cache_embeddings needs a frozen encoder: tune none, or train or lora_target 'decoder'")
        return self

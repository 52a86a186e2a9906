"""Settings of a segmentation head on SAM 2's encoder: no prompts, the automatic track."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from defectbench.config.families.sam2_encoder import Sam2EncoderSettings


class Sam2HeadSettings(Sam2EncoderSettings):
    """A light FPN head on the encoder of SAM 2 or 2.1; the head is the same with and without LoRA.

    Unless given: lr 1e-4; with ``tune: lora`` lr 1e-3 and wd 0.05.
    """

    PROTOCOL: ClassVar[dict[str, dict[str, Any]]] = {"lora": {"lr": 1e-3, "wd": 0.05}}

    model: Literal["sam2_head"] = "sam2_head"
    tune: Literal["head", "lora"] = Field("head", description="head: the encoder stays frozen; lora: it is adapted too")
    lora_target: Literal["encoder", "encoder_mlp"] = "encoder"
    head_channels: int = Field(128, ge=8, description="Channels of the head's feature maps")
    loss: Literal["bce", "dice", "combo", "dice_bce", "dice_focal", "tversky", "lovasz"] = "dice_focal"

    @property
    def frozen_encoder(self) -> bool:
        """Whether the image encoder is not trained, so that its embeddings can be cached."""
        return self.tune == "head"

    @property
    def inactive_keys(self) -> set[str]:
        """Keys that have no effect beside the others."""
        return super().inactive_keys | (set() if self.tune == "lora" else {"lora_target", "gradient_checkpointing"})

    @model_validator(mode="after")
    def _cache_needs_a_frozen_encoder(self) -> Self:
        if self.cache_embeddings and not self.frozen_encoder:
            raise ValueError("cache_embeddings needs a frozen encoder: tune 'head'")
        return self

"""SAM 3 as a network of images alone: its phrases are fixed, and its answers to them are one map each."""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import Sam3Model
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

from defectbench.families.sam3.logits import all_of, mean_of
from defectbench.families.sam3.phrases import tokens

_MEAN = _STD = 0.5  # those of Sam3ImageProcessor


class Features(NamedTuple):
    """What the image encoder makes of B images, before the cheap convolutions that make a pyramid of it."""

    tokens: torch.Tensor
    """(B, positions, width)"""


class Answer(NamedTuple):
    """What SAM 3 says to one phrase about B images; all are logits, float32."""

    semantic: torch.Tensor
    """(B, h, w): whether a pixel belongs to what the phrase names, if it is in the image."""
    presence: torch.Tensor
    """(B,): whether it is in the image at all."""
    masks: torch.Tensor
    """(B, Q, h, w): one instance for each query."""
    scores: torch.Tensor
    """(B, Q): whether a query's mask is one of its instances, if it is in the image."""


class PhraseSam3(nn.Module):
    """SAM 3 with groups of phrases, from raw images to logits."""

    def __init__(
        self,
        network: Sam3Model,
        tokenizer: str,
        groups: Mapping[str, Sequence[str]],
        merged: bool,
        source: Literal["semantic", "instances"] = "semantic",
    ) -> None:
        """``groups`` are phrases whose probabilities are averaged; if ``merged``, the map is the maximum over them.

        Raises:
            PhraseError: if a phrase is too long.
        """
        super().__init__()
        self.network = network
        self.merged = merged
        self.source = source
        self.side = network.config.image_size
        number = itertools.count()
        self.groups = [[next(number) for _ in own] for own in groups.values()]
        """Numbers of the phrases of each group."""
        ids, valid = tokens(tokenizer, [phrase for own in groups.values() for phrase in own])
        self.register_buffer("ids", ids, persistent=False)
        self.register_buffer("valid", valid, persistent=False)
        self._encode: Callable[[torch.Tensor], Features] = self.encode
        self._text: tuple[bool, torch.Tensor] | None = None

    def keep_features(self, encode: Callable[[torch.Tensor], Features]) -> None:
        """Take features from ``encode``, a cache of :meth:`encode`."""
        self._encode = encode

    def encode(self, images: torch.Tensor) -> Features:
        """Features of uint8 ``images`` (B, 1 or 3, side, side)."""
        pixels = (images.float() / 255 - _MEAN) / _STD
        return Features(self.network.vision_encoder.backbone(pixels.expand(-1, 3, -1, -1)).last_hidden_state)

    def pyramid(self, features: Features) -> Sam3VisionEncoderOutput:
        """The feature maps of several sizes that the other parts read."""
        patches = self.side // self.network.config.vision_config.backbone_config.patch_size
        maps = features.tokens.transpose(1, 2).unflatten(2, (patches, patches))
        states, positions = self.network.vision_encoder.neck(maps)
        return Sam3VisionEncoderOutput(fpn_hidden_states=states, fpn_position_encoding=positions)

    def text_features(self, phrases: Sequence[int]) -> torch.Tensor:
        """Features (P, LENGTH, width) of phrases: computed once for all, unless the text encoder is being trained."""
        parts = (self.network.text_encoder, self.network.text_projection)
        if torch.is_grad_enabled() and any(value.requires_grad for part in parts for value in part.parameters()):
            return self.network.get_text_features(self.ids[phrases], self.valid[phrases]).pooler_output
        if self._text is None or self._text[0] != self.training:
            with torch.no_grad():
                self._text = (self.training, self.network.get_text_features(self.ids, self.valid).pooler_output)
        return self._text[1][phrases]

    def answer(self, pyramid: Sam3VisionEncoderOutput, phrase: int, text: torch.Tensor) -> Answer:
        """The answer to a phrase with the features ``text`` (LENGTH, width)."""
        n_images = len(pyramid.fpn_hidden_states[0])
        found = self.network(
            vision_embeds=pyramid,
            text_embeds=BaseModelOutputWithPooling(pooler_output=text.expand(n_images, -1, -1)),
            attention_mask=self.valid[phrase].expand(n_images, -1),
        )
        logits = (found.semantic_seg[:, 0], found.presence_logits[:, 0], found.pred_masks, found.pred_logits)
        return Answer(*(values.float() for values in logits))

    def map_of(self, answer: Answer) -> torch.Tensor:
        """Logits (B, h, w) that a pixel shows what the phrase names: a probability times that of its presence.

        The former is that of the semantic map, or the highest of any instance, its mask times its score.
        """
        presence = answer.presence[:, None, None]
        if self.source == "semantic":
            return all_of(answer.semantic, presence)
        scores = all_of(answer.scores, answer.presence[:, None])
        return all_of(answer.masks, scores[:, :, None, None]).amax(dim=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (B, n_maps, side, side) of uint8 ``images`` (B, 1 or 3, side, side), float32."""
        pyramid = self.pyramid(self._encode(images))
        maps = []
        for own in self.groups:
            answers = (self.answer(pyramid, *phrase) for phrase in zip(own, self.text_features(own), strict=True))
            maps.append(mean_of([self.map_of(answer) for answer in answers]))
        return self.enlarge(self.joined(torch.stack(maps, dim=1)))

    def together(self, answers: Sequence[Answer]) -> Answer:
        """Answers about G groups as one, its tensors (B, G, ...); if they are merged (B, 1, ...), of all queries."""
        semantic, presence, masks, scores = (torch.stack(values, dim=1) for values in zip(*answers, strict=True))
        if self.merged:
            masks, scores = (values.flatten(1, 2).unsqueeze(1) for values in (masks, scores))
        return Answer(self.joined(semantic), self.joined(presence), masks, scores)

    def joined(self, maps: torch.Tensor) -> torch.Tensor:
        """``maps`` (B, G, ...), or, if they are merged, their maximum (B, 1, ...)."""
        return maps.amax(dim=1, keepdim=True) if self.merged else maps

    def enlarge(self, maps: torch.Tensor) -> torch.Tensor:
        """``maps`` (B, n, h, w) at the input's size."""
        return functional.interpolate(maps, size=(self.side, self.side), mode="bilinear", align_corners=False)

    def checkpoint_layers(self) -> None:
        """Let the image encoder's layers keep their inputs only, and compute the rest again in the backward pass."""
        for layer in self.network.vision_encoder.backbone.layers:
            layer.forward = functools.partial(checkpoint, layer.forward, use_reentrant=False)

    def train(self, mode: bool = True) -> "PhraseSam3":
        """As of any module; text features are forgotten, for their encoder may have changed."""
        self._text = None
        return super().train(mode)

"""SAM 3 with fixed phrases, as a network from images to maps."""

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import Sam3Model
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

from defectbench.families.sam3.logits import interpolate_probability, logit_of_mean, logit_of_product
from defectbench.families.sam3.phrases import tokenize

_MEAN = _STD = 0.5  # as in Sam3ImageProcessor


class Features(NamedTuple):
    """Output of the image encoder's backbone for B images, before the cheap neck that makes a pyramid of it."""

    tokens: torch.Tensor
    """(B, positions, width)"""


class PhraseOutput(NamedTuple):
    """Output for B images prompted with one phrase; all are logits, float32."""

    semantic: torch.Tensor
    """(B, h, w): the semantic map, given that the concept is in the image."""
    presence: torch.Tensor
    """(B,): whether the concept is in the image at all."""
    masks: torch.Tensor
    """(B, Q, h, w): one instance for each query."""
    scores: torch.Tensor
    """(B, Q): whether a query's mask is an instance, given that the concept is in the image."""


class PhraseSam3(nn.Module):
    """SAM 3 with groups of phrases, from raw images to logits."""

    def __init__(
        self,
        network: Sam3Model,
        tokenizer: str,
        groups: Mapping[str, Sequence[str]],
        merged: bool,
        source: Literal["semantic", "instances"],
        score_threshold: float,
    ) -> None:
        """The probabilities of each of ``groups`` are averaged; if ``merged``, the map is the maximum over groups.

        ``score_threshold`` is that of :meth:`phrase_map`.

        Raises:
            PhraseError: if a phrase is too long.
        """
        super().__init__()
        self.network = network
        self.merged = merged
        self.source = source
        self.threshold_logit = math.log(score_threshold / (1 - score_threshold)) if score_threshold else -math.inf
        side = network.config.image_size
        self.size: tuple[int, int] = (side, side) if isinstance(side, int) else (side[1], side[0])
        """Height and width of the position grid, pixels; the configuration has the width first."""
        number = itertools.count()
        self.groups = [[next(number) for _ in phrases] for phrases in groups.values()]
        """Numbers of the phrases of each group."""
        ids, valid = tokenize(tokenizer, [phrase for phrases in groups.values() for phrase in phrases])
        self.register_buffer("ids", ids, persistent=False)
        self.register_buffer("valid", valid, persistent=False)
        self._encode: Callable[[torch.Tensor], Features] = self.encode
        self._text: tuple[bool, torch.Tensor] | None = None

    def use_cache(self, encode: Callable[[torch.Tensor], Features]) -> None:
        """Take features from ``encode``, a cache of :meth:`encode`."""
        self._encode = encode

    def encode(self, images: torch.Tensor) -> Features:
        """Features of uint8 ``images`` (B, 1 or 3, H, W) of the size of the position grid."""
        pixels = (images.float() / 255 - _MEAN) / _STD
        return Features(self.network.vision_encoder.backbone(pixels.expand(-1, 3, -1, -1)).last_hidden_state)

    def pyramid(self, features: Features) -> Sam3VisionEncoderOutput:
        """The feature maps of several sizes that the other parts read."""
        patch = self.network.config.vision_config.backbone_config.patch_size
        maps = features.tokens.transpose(1, 2).unflatten(2, tuple(side // patch for side in self.size))
        states, positions = self.network.vision_encoder.neck(maps)
        return Sam3VisionEncoderOutput(fpn_hidden_states=states, fpn_position_encoding=positions)

    def text_features(self, phrases: Sequence[int]) -> torch.Tensor:
        """Features (P, LENGTH, width) of phrases, cached unless the text encoder is being trained."""
        parts = (self.network.text_encoder, self.network.text_projection)
        if torch.is_grad_enabled() and any(value.requires_grad for part in parts for value in part.parameters()):
            return self.network.get_text_features(self.ids[phrases], self.valid[phrases]).pooler_output
        if self._text is None or self._text[0] != self.training:
            with torch.no_grad():
                self._text = (self.training, self.network.get_text_features(self.ids, self.valid).pooler_output)
        return self._text[1][phrases]

    def segment_phrase(self, pyramid: Sam3VisionEncoderOutput, phrase: int, text: torch.Tensor) -> PhraseOutput:
        """Output for one phrase with the features ``text`` (LENGTH, width)."""
        n_images = len(pyramid.fpn_hidden_states[0])
        output = self.network(
            vision_embeds=pyramid,
            text_embeds=BaseModelOutputWithPooling(pooler_output=text.expand(n_images, -1, -1)),
            attention_mask=self.valid[phrase].expand(n_images, -1),
        )
        logits = (output.semantic_seg[:, 0], output.presence_logits[:, 0], output.pred_masks, output.pred_logits)
        return PhraseOutput(*(values.float() for values in logits))

    def phrase_map(self, output: PhraseOutput, size: tuple[int, int]) -> torch.Tensor:
        """Logits (B, *size) of a phrase's map: a fuzzy AND of mask and score, the maximum over instances.

        p >= 0.5 exactly where a mask is, at ``size``, whose score reaches the threshold: of an instance score times
        presence, of the semantic map the presence.
        """
        masks, scores = output.semantic[:, None], output.presence[:, None]
        if self.source == "instances":
            masks, scores = output.masks, logit_of_product(output.scores, scores)
        margins = (scores - self.threshold_logit)[:, :, None, None]
        # One at a time: the masks of all instances at the size of the image would not fit into memory.
        maps = (
            torch.minimum(interpolate_probability(mask, size), margin)
            for mask, margin in zip(masks.split(1, dim=1), margins.split(1, dim=1), strict=True)
        )
        return functools.reduce(torch.maximum, maps)[:, 0]

    def forward(self, images: torch.Tensor, size: tuple[int, int] | None = None) -> torch.Tensor:
        """Logits (B, n_maps, *size) of uint8 ``images`` (B, 1 or 3, H, W), float32; ``size`` is theirs if None.

        Masks are interpolated once, from the network's own resolution to ``size``, as ``Sam3Processor`` does.
        """
        size = size or self.size
        pyramid = self.pyramid(self._encode(images))
        maps = []
        for group in self.groups:
            phrases = zip(group, self.text_features(group), strict=True)
            outputs = [self.segment_phrase(pyramid, *phrase) for phrase in phrases]
            maps.append(logit_of_mean([self.phrase_map(output, size) for output in outputs]))
        return self.merge_groups(torch.stack(maps, dim=1))

    def stack_outputs(self, outputs: Sequence[PhraseOutput]) -> PhraseOutput:
        """Outputs of G groups as one with tensors (B, G, ...); merged, (B, 1, ...) with the queries of all groups."""
        semantic, presence, masks, scores = (torch.stack(values, dim=1) for values in zip(*outputs, strict=True))
        if self.merged:
            masks, scores = (values.flatten(1, 2).unsqueeze(1) for values in (masks, scores))
        return PhraseOutput(self.merge_groups(semantic), self.merge_groups(presence), masks, scores)

    def merge_groups(self, maps: torch.Tensor) -> torch.Tensor:
        """``maps`` (B, G, ...), or, for a merged map, their maximum (B, 1, ...)."""
        return maps.amax(dim=1, keepdim=True) if self.merged else maps

    def upsample(self, maps: torch.Tensor) -> torch.Tensor:
        """``maps`` (B, n, h, w) at the input's size."""
        return functional.interpolate(maps, size=self.size, mode="bilinear", align_corners=False)

    def checkpoint_layers(self) -> None:
        """Turn on gradient checkpointing: the image encoder's layers are computed again in the backward pass."""
        for layer in self.network.vision_encoder.backbone.layers:
            layer.forward = functools.partial(checkpoint, layer.forward, use_reentrant=False)

    def train(self, mode: bool = True) -> "PhraseSam3":
        """Switch to training or evaluation; cached text features are dropped, since their encoder may have changed."""
        self._text = None
        return super().train(mode)

"""SAM 2 for still images at any size that is a multiple of 32, the encoder run once for all prompts.

The modules are those of the ``sam2`` package, under its names, so that its checkpoints fit. Its image predictor is not
used: it squashes every image to 1024 × 1024. The video parts (memory, object pointers) are left out.
"""

import functools
from typing import NamedTuple

import torch
from sam2.build_sam import build_sam2
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from defectbench.models.segmentation_heads import IMAGENET_MEAN, IMAGENET_STD

CONFIGS = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
# Pixels of the image to one position of the embedding.
STRIDE = 16


class Embedding(NamedTuple):
    """Features of B images (H, W), finest last: the input of the mask decoder."""

    image: torch.Tensor
    """(B, 256, H / 16, W / 16)"""
    fine: torch.Tensor
    """(B, 64, H / 8, W / 8)"""
    finest: torch.Tensor
    """(B, 32, H / 4, W / 4)"""

    def of(self, index: torch.Tensor) -> "Embedding":
        """Embeddings of the images ``index`` (P,); an index may be repeated."""
        return Embedding(*(level[index] for level in self))


class DecoderOutput(NamedTuple):
    """Output of the mask decoder for P prompts: three masks each, since a prompt may mean a part or the whole."""

    masks: torch.Tensor
    """Logits (P, 3, H / 4, W / 4)."""
    iou: torch.Tensor
    """Predicted IoU of each mask, (P, 3)."""
    object_score: torch.Tensor
    """Logit (P,) that there is an object at all."""


class NativeSam2(nn.Module):
    """Encoder, prompt encoder and mask decoder of SAM 2; weights are random until loaded."""

    def __init__(self, version: str, size: str) -> None:
        """``version`` is '2' or '2.1', ``size`` tiny, small, base_plus or large."""
        super().__init__()
        config = f"configs/sam{version}/sam{version}_hiera_{CONFIGS[size]}.yaml"
        sam = build_sam2(config, device="cpu", apply_postprocessing=False)
        self.image_encoder = sam.image_encoder
        self.sam_prompt_encoder = sam.sam_prompt_encoder
        self.sam_mask_decoder = sam.sam_mask_decoder
        # The embedding of 'no memory', which SAM 2 adds to every still image.
        self.no_mem_embed = sam.no_mem_embed
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, -1, 1, 1), persistent=False)

    def encode(self, images: torch.Tensor) -> Embedding:
        """Embedding of uint8 ``images`` (B, 1 or 3, H, W); H and W are multiples of 32."""
        pixels = ((images.float() / 255).expand(-1, 3, -1, -1) - self.mean) / self.std
        finest, fine, image = self.image_encoder(pixels)["backbone_fpn"]
        image = image + self.no_mem_embed.view(1, -1, 1, 1)
        return Embedding(image, self.sam_mask_decoder.conv_s1(fine), self.sam_mask_decoder.conv_s0(finest))

    def decode(
        self, embedding: Embedding, points: torch.Tensor, labels: torch.Tensor, masks: torch.Tensor | None = None
    ) -> DecoderOutput:
        """Decode P prompts, one for each entry of ``embedding``.

        ``points`` (P, n, 2) are x and y in pixels of the encoder's input, ``labels`` (P, n) SAM's (see data.prompts),
        ``masks`` (P, 1, H / 4, W / 4) logits of an earlier output that the points correct.
        """
        prompts = self.sam_prompt_encoder
        height, width = embedding.image.shape[-2:]
        # The package keeps the size of the image as a state of its prompt encoder.
        prompts.image_embedding_size = (height, width)
        prompts.input_image_size = (STRIDE * height, STRIDE * width)
        prompts.mask_input_size = (4 * height, 4 * width)
        sparse, dense = prompts(points=(points, labels), boxes=None, masks=masks)
        logits, iou, _, object_score = self.sam_mask_decoder(
            image_embeddings=embedding.image,
            image_pe=prompts.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
            repeat_image=False,
            high_res_features=[embedding.finest, embedding.fine],
        )
        return DecoderOutput(logits, iou, object_score[:, 0])

    def checkpoint_blocks(self) -> None:
        """Turn on gradient checkpointing: the encoder's blocks are computed again in the backward pass."""
        for block in self.image_encoder.trunk.blocks:
            block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)


def best_masks(output: DecoderOutput) -> torch.Tensor:
    """Logits (P, H / 4, W / 4): the mask of each prompt with the highest *predicted* IoU; the truth is not used.

    An object score of at most 0 means that there is no object: it then limits the logits of all pixels. So p >= 0.5
    exactly where SAM 2 itself predicts a mask.
    """
    masks = highest_iou_masks(output)
    score = output.object_score.view(-1, 1, 1)
    return torch.where(score > 0, masks, torch.minimum(masks, score))


def highest_iou_masks(output: DecoderOutput) -> torch.Tensor:
    """The masks (P, H / 4, W / 4) with the highest predicted IoU, whatever the object score."""
    index = output.iou.argmax(dim=1)
    return output.masks[torch.arange(len(index), device=index.device), index]


def upsample_masks(masks: torch.Tensor) -> torch.Tensor:
    """``masks`` (P, h, w) at the encoder's input size, (P, 4 h, 4 w)."""
    return functional.interpolate(masks.float()[:, None], scale_factor=4.0, mode="bilinear", align_corners=False)[:, 0]

"""SAM 2 for still images at any size that is a multiple of 32, the encoder run once for all prompts.

The modules are those of the ``sam2`` package, with its names, so that its checkpoints fit. Its image predictor is not
used: it squashes every image to 1024 × 1024. What belongs to video (memory, object pointers) is left out.
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
    """What the encoder makes of B images (H, W), and all that prompts are answered from."""

    image: torch.Tensor
    """(B, 256, H / 16, W / 16)"""
    fine: torch.Tensor
    """(B, 64, H / 8, W / 8)"""
    finest: torch.Tensor
    """(B, 32, H / 4, W / 4)"""

    def of(self, index: torch.Tensor) -> "Embedding":
        """The embeddings of the images ``index`` (P,), repeated as often as they are named."""
        return Embedding(*(level[index] for level in self))


class Answer(NamedTuple):
    """What the decoder makes of P prompts: several masks each, for a prompt may mean a part or the whole."""

    masks: torch.Tensor
    """Logits (P, 3, H / 4, W / 4)."""
    iou: torch.Tensor
    """The model's own guess of each mask's IoU, (P, 3)."""
    object_score: torch.Tensor
    """Logit (P,) of there being an object at all."""


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
        # The embedding of 'no memory', which the model adds to every still image.
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
    ) -> Answer:
        """Answer P prompts, one for each entry of ``embedding``.

        ``points`` (P, n, 2) are x and y in pixels of the encoder's input, ``labels`` (P, n) SAM's (see data.prompts),
        ``masks`` (P, 1, H / 4, W / 4) logits of an earlier answer that the points correct.
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
        return Answer(logits, iou, object_score[:, 0])

    def checkpoint_blocks(self) -> None:
        """Let the encoder's blocks keep their inputs only, and compute the rest again in the backward pass."""
        for block in self.image_encoder.trunk.blocks:
            block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)


def best_masks(answer: Answer) -> torch.Tensor:
    """Logits (P, H / 4, W / 4): of each prompt's masks the one with the highest *predicted* IoU; no truth is asked.

    Where the object score is not above 0 the model says that nothing is here: no pixel then has a logit above that
    score. So p >= 0.5 exactly where SAM 2 itself draws a mask.
    """
    index = answer.iou.argmax(dim=1)
    masks = answer.masks[torch.arange(len(index), device=index.device), index]
    score = answer.object_score.view(-1, 1, 1)
    return torch.where(score > 0, masks, torch.minimum(masks, score))


def enlarge(masks: torch.Tensor) -> torch.Tensor:
    """``masks`` (P, h, w) at the encoder's input size, (P, 4 h, 4 w)."""
    return functional.interpolate(masks.float()[:, None], scale_factor=4.0, mode="bilinear", align_corners=False)[:, 0]

"""SAM 2 for still images at any size that is a multiple of 32, the encoder run once for all prompts.

The modules are those of the ``sam2`` package, under its names, so that its checkpoints fit. Its image predictor is not
used: it squashes every image to 1024 × 1024. The video parts (memory, object pointers) are left out.
"""

import functools
from typing import NamedTuple

import torch
from sam2.build_sam import build_sam2
from sam2.modeling.sam2_base import NO_OBJ_SCORE
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from defectbench.models.segmentation_heads import IMAGENET_MEAN, IMAGENET_STD

CONFIGS = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
# The nano size is ours: tiny with fewer and narrower blocks.
_NANO = [
    "model.image_encoder.trunk.embed_dim=32",
    "model.image_encoder.trunk.stages=[1,2,2,1]",
    "model.image_encoder.trunk.global_att_blocks=[4]",
    "model.image_encoder.neck.d_model=128",
    "model.image_encoder.neck.position_encoding.num_pos_feats=128",
    "model.image_encoder.neck.backbone_channel_list=[256,128,64,32]",
    "model.memory_attention=null",
    "model.memory_encoder=null",
]
# Pixels of the image to one position of the embedding.
STRIDE = 16


class Embedding(NamedTuple):
    """Features of B images (H, W), finest last: the input of the mask decoder."""

    image: torch.Tensor
    """(B, C, H / 16, W / 16); C is 256, of the nano size 128."""
    fine: torch.Tensor
    """(B, C / 4, H / 8, W / 8)"""
    finest: torch.Tensor
    """(B, C / 8, H / 4, W / 4)"""

    def of(self, index: torch.Tensor) -> "Embedding":
        """Embeddings of the images ``index`` (P,); an index may be repeated."""
        return Embedding(*(level[index] for level in self))


class DecoderOutput(NamedTuple):
    """Output of the mask decoder for P prompts: M masks each.

    M is 3 for a prompt of at most one point, since that may mean a part or the whole, and 1 for all others.
    """

    masks: torch.Tensor
    """Logits (P, M, H / 4, W / 4)."""
    iou: torch.Tensor
    """Predicted IoU of each mask, (P, M)."""
    object_score: torch.Tensor
    """Logit (P,) that there is an object at all."""


def model_config(version: str, size: str) -> tuple[str, list[str]]:
    """Name of the package's configuration, and what differs from it; arguments as of :class:`NativeSam2`."""
    return f"configs/sam{version}/sam{version}_hiera_{CONFIGS.get(size, 't')}.yaml", _NANO if size == "nano" else []


class NativeSam2(nn.Module):
    """Encoder, prompt encoder and mask decoder of SAM 2; weights are random until loaded."""

    def __init__(self, version: str, size: str) -> None:
        """``version`` is '2' or '2.1', ``size`` nano, tiny, small, base_plus or large."""
        super().__init__()
        config, overrides = model_config(version, size)
        sam = build_sam2(config, device="cpu", mode="train", hydra_overrides_extra=overrides)
        self.image_encoder = sam.image_encoder
        self.sam_prompt_encoder = sam.sam_prompt_encoder
        self.sam_mask_decoder = sam.sam_mask_decoder
        self.multimask_points = range(sam.multimask_min_pt_num, sam.multimask_max_pt_num + 1)
        """Numbers of points for which the decoder gives three masks; a box is two points."""
        # The embedding of 'no memory', which SAM 2 adds to every still image.
        self.no_mem_embed = sam.no_mem_embed
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, -1, 1, 1), persistent=False)

    @property
    def embedding_channels(self) -> tuple[int, int, int]:
        """Channels of the levels of an :class:`Embedding`, finest last."""
        decoder = self.sam_mask_decoder
        return decoder.transformer_dim, decoder.conv_s1.out_channels, decoder.conv_s0.out_channels

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

        The single mask of several points has a mask token of its own. In evaluation mode it gives way to the best of
        the three where it is not stable, as the package's predictor has it: its area would change by more than 2 % if
        the threshold moved by 0.05.

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
            multimask_output=labels.shape[1] in self.multimask_points,
            repeat_image=False,
            high_res_features=[embedding.finest, embedding.fine],
        )
        return DecoderOutput(logits, iou, object_score[:, 0])

    def checkpoint_blocks(self) -> None:
        """Turn on gradient checkpointing: the encoder's blocks are computed again in the backward pass."""
        for block in self.image_encoder.trunk.blocks:
            block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)


def best_masks(output: DecoderOutput) -> torch.Tensor:
    """Logits (P, H / 4, W / 4): the mask of each prompt with the highest *predicted* IoU; the truth is not used."""
    index = output.iou.argmax(dim=1)
    return output.masks[torch.arange(len(index), device=index.device), index]


def cut_masks(masks: torch.Tensor, object_score: torch.Tensor) -> torch.Tensor:
    """``masks`` (P, h, w) whose logits are at most the ``object_score`` (P,) where that is at most 0: no object.

    So p >= 0.5 exactly where SAM 2 itself, for videos, predicts a mask.
    """
    score = object_score.view(-1, 1, 1)
    return torch.where(score > 0, masks, torch.minimum(masks, score))


def drop_absent_masks(output: DecoderOutput) -> DecoderOutput:
    """``output`` without the masks of prompts whose object score is at most 0, as SAM 2 trains: logits of -1024."""
    present = output.object_score.view(-1, 1, 1, 1) > 0
    return output._replace(masks=torch.where(present, output.masks, NO_OBJ_SCORE))


def upsample_masks(masks: torch.Tensor) -> torch.Tensor:
    """``masks`` (P, h, w) at the encoder's input size, (P, 4 h, 4 w)."""
    return functional.interpolate(masks.float()[:, None], scale_factor=4.0, mode="bilinear", align_corners=False)[:, 0]

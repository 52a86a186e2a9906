"""Light segmentation head on SAM 2's encoder: no prompts, one map of any defect or one per class."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from defectbench.config.families.sam2_head import Sam2HeadSettings
from defectbench.families.sam2.adapters import add_adapters
from defectbench.families.sam2.network import Embedding, NativeSam2
from defectbench.families.sam2.weights import load_base
from defectbench.models.segmentation_heads import init_output_layer

Encoder = Callable[[torch.Tensor], Embedding]


class FpnHead(nn.Module):
    """Feature pyramid: levels projected to a common width and summed from coarse to fine, with a block of convolutions
    at each level; logits at a quarter of the input's size.

    T.-Y. Lin et al., Feature pyramid networks for object detection, CVPR 2017; the widths are our choice.
    """

    def __init__(self, levels: Sequence[int], n_maps: int, channels: int = 128) -> None:
        """``n_maps`` logit maps, from feature maps of ``channels``; ``levels``: channels of the input, finest first."""
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(n, channels, 1) for n in levels)
        self.smooth = nn.ModuleList(_block(channels) for _ in levels)
        self.last = nn.Conv2d(channels, n_maps, 1)
        init_output_layer(self.last)

    def forward(self, embedding: Embedding) -> torch.Tensor:
        """Logits (B, n_maps, H / 4, W / 4)."""
        x = None
        levels = (embedding.image, embedding.fine, embedding.finest)
        for level, lateral, smooth in zip(levels, self.lateral[::-1], self.smooth[::-1], strict=True):
            features = lateral(level)
            if x is not None:
                features = features + functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = smooth(features)
        return self.last(x)


def _block(channels: int) -> nn.Sequential:
    # GroupNorm: a batch may be a single image.
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.GroupNorm(8, channels), nn.ReLU(inplace=True)
    )


class Sam2Head(nn.Module):
    """SAM 2's encoder and a head: from raw images to logits."""

    def __init__(self, sam: NativeSam2, n_maps: int, channels: int = 128) -> None:
        """Freeze ``sam``; the head trains. Adapters, if any, come afterwards."""
        super().__init__()
        self.sam = sam.requires_grad_(False)
        self.head = FpnHead(sam.embedding_channels[::-1], n_maps, channels)
        self._cached_encode: Encoder | None = None
        self._caches_training = False

    def use_cache(self, encode: Encoder, in_training: bool) -> None:
        """Take embeddings from ``encode``, a cache: always, or only in validation, where images come unchanged."""
        self._cached_encode, self._caches_training = encode, in_training

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (B, n_maps, H, W) of uint8 ``images`` (B, 1 or 3, H, W); H and W are multiples of 32."""
        encode = self.sam.encode
        if self._cached_encode is not None and (self._caches_training or not self.training):
            encode = self._cached_encode
        logits = self.head(encode(images))
        return functional.interpolate(logits.float(), scale_factor=4.0, mode="bilinear", align_corners=False)


def build_head(settings: Sam2HeadSettings, base: Path, n_maps: int) -> tuple[Sam2Head, dict[str, str]]:
    """The network of the settings on the weights in ``base``, and their origin, for the run record."""
    sam, origin = load_base(base, settings.base_name)
    network = Sam2Head(sam, n_maps, settings.head_channels)
    if settings.tune == "lora":
        add_adapters(sam, settings)
        if settings.gradient_checkpointing:
            sam.checkpoint_blocks()
    return network, origin

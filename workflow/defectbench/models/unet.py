"""The UNet family: networks of segmentation-models-pytorch."""

import math

import segmentation_models_pytorch as smp
import torch
from torch import nn

from defectbench.config.train_unet import UNetSettings

# ImageNet's mean and standard deviation; a grey image gets their mean over the three colours.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Defects are rare: a fresh network starts at this probability, not at one half, and need not first unlearn it
# (T.-Y. Lin et al., Focal loss for dense object detection, ICCV 2017, section 4.1).
_PRIOR = 0.05


class UNet(nn.Module):
    """A CNN from raw images to logits."""

    def __init__(self, settings: UNetSettings, in_channels: int, n_maps: int) -> None:
        """``in_channels`` is 1 (grey) or 3 (RGB); ``n_maps`` the number of logit maps."""
        super().__init__()
        self.network = smp.create_model(
            settings.model, settings.encoder, encoder_weights=None, in_channels=in_channels, classes=n_maps
        )
        nn.init.constant_(self.network.segmentation_head[0].bias, math.log(_PRIOR / (1 - _PRIOR)))
        mean, std = torch.tensor(_MEAN), torch.tensor(_STD)
        if in_channels == 1:
            mean, std = mean.mean(0, keepdim=True), std.mean(0, keepdim=True)
        self.register_buffer("mean", mean.view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", std.view(1, -1, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (B, n_maps, H, W) of uint8 ``images`` (B, C, H, W); H and W are multiples of 32."""
        x = (images.float() / 255 - self.mean) / self.std
        return self.network(x.contiguous(memory_format=torch.channels_last))

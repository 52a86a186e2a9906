"""CNNs of segmentation-models-pytorch, and a U-Net with deep supervision."""

from dataclasses import dataclass

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import nn
from torch.nn import functional

from defectbench.config.families.unet import UNetSettings
from defectbench.models.segmentation_heads import IMAGENET_MEAN, IMAGENET_STD, init_output_layer
from defectbench.script import UserError


class NetworkError(UserError):
    """A network that cannot be built."""


@dataclass(frozen=True)
class PretrainedEncoder:
    """An ImageNet encoder in the local cache of the model hub."""

    repository: str
    revision: str
    """The commit of the repository that the file is from."""
    sha256: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """``mean`` and ``std`` of the three colours, for values in [0, 1]: the normalisation that it was trained with."""


class UNet(nn.Module):
    """A CNN from raw images to logits."""

    def __init__(
        self,
        settings: UNetSettings,
        in_channels: int,
        n_maps: int,
        pretrained: PretrainedEncoder | None = None,
        statistics: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        """``in_channels`` is 1 (grey), 3 (RGB) or another number; ``n_maps`` the number of logit maps.

        Without ``pretrained`` all weights are random, whatever the settings' encoder_weights. Other channels than grey
        and RGB are normalised by their own ``statistics``, mean and standard deviation of values in [0, 1]; without,
        those loaded with the weights take their place. The library repeats the three colours of pretrained weights.

        Raises:
            NetworkError: if the library cannot build this architecture with this encoder.
        """
        super().__init__()
        architectures = {"dsc_unet": DeeplySupervisedUnet, **smp.MODEL_ARCHITECTURES_MAPPING}
        weights = "imagenet" if pretrained else None
        self.has_presence = settings.presence_head
        presence = {"aux_params": {"classes": n_maps}} if self.has_presence else {}
        try:
            self.network = architectures[settings.model](
                settings.encoder, encoder_weights=weights, in_channels=in_channels, classes=n_maps, **presence
            )
        except (ValueError, RuntimeError, KeyError) as error:
            raise NetworkError(
                f"{settings.model} with encoder {settings.encoder} on images of {in_channels} channel(s) cannot be "
                f"built: {error}"
            ) from None
        for head in (self.network.segmentation_head, *getattr(self.network, "auxiliary", ())):
            init_output_layer(head[0])
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        if pretrained:
            mean, std = torch.tensor(pretrained.mean), torch.tensor(pretrained.std)
        # A grey image is normalised by the mean over the three colours.
        if in_channels == 1:
            mean, std = mean.mean(0, keepdim=True), std.mean(0, keepdim=True)
        elif in_channels != 3:
            own = statistics or (np.zeros(in_channels, np.float32), np.ones(in_channels, np.float32))
            mean, std = map(torch.from_numpy, own)
        # Saved with the weights, which are valid for this normalisation only.
        self.register_buffer("mean", mean.view(1, -1, 1, 1))
        self.register_buffer("std", std.view(1, -1, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Logits (B, n_maps, H, W) of uint8 ``images`` (B, C, H, W); H and W are multiples of 32.

        With deep supervision and in training, a tuple of such logits: the final ones, then one for each level of the
        decoder, finest first. With a presence head and in training, the maps and the logits (B, n_maps) of presence.
        """
        x = (images.float() / 255 - self.mean) / self.std
        outputs = self.network(x.contiguous(memory_format=torch.channels_last))
        return outputs if self.training or not self.has_presence else mask_and_presence(*outputs)


def mask_and_presence(maps: torch.Tensor, presence: torch.Tensor) -> torch.Tensor:
    """Fuzzy AND of ``maps`` (B, n, H, W) and ``presence`` (B, n), in logits: p ≥ 0.5 only where both are."""
    return torch.minimum(maps, presence[..., None, None])


class DeeplySupervisedUnet(smp.Unet):
    """U-Net with auxiliary heads at 1/2, 1/4 and 1/8 of the image's size, which predict masks in training only.

    C.-Y. Lee et al., Deeply-supervised nets, AISTATS 2015. The heads are 1 × 1 convolutions, a few hundred weights:
    they are saved, so that a training can start from the file.
    """

    def __init__(self, encoder_name: str, encoder_weights: str | None, in_channels: int, classes: int) -> None:
        """As the library's U-Net, with ``classes`` maps at every level."""
        super().__init__(encoder_name, encoder_weights=encoder_weights, in_channels=in_channels, classes=classes)
        channels = [block.conv2[0].out_channels for block in self.decoder.blocks]
        self.auxiliary = nn.ModuleList(
            smp.base.SegmentationHead(n, classes, kernel_size=1) for n in reversed(channels[1:-1])
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Logits of normalised images; in training a tuple of logits, all at the images' size, finest first."""
        if not self.training:
            return super().forward(x)
        features = self.encoder(x)
        levels = self._decode(features)
        auxiliary = [
            functional.interpolate(head(level), x.shape[-2:], mode="bilinear", align_corners=False)
            for head, level in zip(self.auxiliary, levels[-2:0:-1], strict=True)
        ]
        return self.segmentation_head(levels[-1]), *auxiliary

    def _decode(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        """Outputs of all the decoder's blocks, coarsest first; the library's decoder returns only the last."""
        *skips, deepest = features[1:]
        sizes = [feature.shape[-2:] for feature in reversed(features[:-1])]
        x, levels = self.decoder.center(deepest), []
        for block, size in zip(self.decoder.blocks, sizes, strict=True):
            x = block(x, *size, skip_connection=skips.pop() if skips else None)
            levels.append(x)
        return levels

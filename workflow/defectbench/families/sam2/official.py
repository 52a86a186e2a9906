"""Files of base weights of SAM 2: converted from an official checkpoint, or random."""

import io
import pickle
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from defectbench.config.families.sam2_encoder import parse_base_name
from defectbench.digests import atomic_with_digest
from defectbench.families.sam2.network import NativeSam2
from defectbench.models.adapters import WeightsError, check_fit

# Parts for video: memory of earlier frames and pointers to objects in them.
_VIDEO = (
    *("memory_attention.", "memory_encoder.", "obj_ptr_", "mask_downsample.", "maskmem_tpos_enc", "no_mem_pos_enc"),
    *("no_obj_ptr", "no_obj_embed_spatial"),
)
# Contrast of grey images is weak against that of natural ones, on which inputs are normalised.
_PATCH_GAIN = 3.0


def convert_checkpoint(checkpoint: bytes, name: str) -> dict[str, torch.Tensor]:
    """The still-image tensors of an official checkpoint.

    Raises:
        WeightsError: if it holds anything but tensors, or not the tensors of ``name``.
    """
    try:
        values = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)["model"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError, LookupError) as error:
        raise WeightsError(f"the checkpoint of {name} is not used: it holds no weights of SAM 2: {error}") from None
    image_values = {key: value.contiguous() for key, value in values.items() if not key.startswith(_VIDEO)}
    version, size, _ = parse_base_name(name)
    check_fit(NativeSam2(version, size), image_values, Path("the official checkpoint"), name)
    return image_values


def random_weights(name: str) -> dict[str, torch.Tensor]:
    """The tensors of an untrained network, initialised with the seed in ``name``."""
    version, size, seed = parse_base_name(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        network = NativeSam2(version, size)
        _start_from_contrast(network)
        return {key: value.contiguous() for key, value in network.state_dict().items()}


@torch.no_grad()
def _start_from_contrast(network: NativeSam2) -> None:
    """Initialise so that masks depend on the image's contrast, which with torch's defaults they hardly do.

    Convolutions and the mask tokens' networks keep the variance (K. He et al., ICCV 2015); filters of patches are free
    of their mean, so that layer normalisation sees contrast and not brightness.
    """
    for name, layer in network.named_modules():
        is_linear = isinstance(layer, nn.Linear) and "output_hypernetworks_mlps" in name
        if is_linear or isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    filters = network.image_encoder.trunk.patch_embed.proj.weight
    filters -= filters.mean(dim=(1, 2, 3), keepdim=True)
    filters *= _PATCH_GAIN


def save_base(path: Path, values: dict[str, torch.Tensor], source: str) -> None:
    """Write base weights; ``source`` is their origin, for every run record."""
    with atomic_with_digest(path) as temporary:
        save_file(values, temporary, metadata={"source": source})

"""Files of base weights of SAM 2: converted from an official checkpoint, or random."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from defectbench.config.families.sam2_encoder import parse_base_name
from defectbench.families.sam2.network import NativeSam2
from defectbench.files import atomic
from defectbench.models.adapters import check_fit

# Parts for video: memory of earlier frames and pointers to objects in them.
_VIDEO = (
    *("memory_attention.", "memory_encoder.", "obj_ptr_", "mask_downsample.", "maskmem_tpos_enc", "no_mem_pos_enc"),
    *("no_obj_ptr", "no_obj_embed_spatial"),
)


def convert_checkpoint(checkpoint: Path, name: str) -> dict[str, torch.Tensor]:
    """The still-image tensors of an official checkpoint whose digest was checked.

    Raises:
        WeightsError: if they are not the tensors of ``name``.
    """
    values = torch.load(checkpoint, map_location="cpu", weights_only=True)["model"]
    image_values = {key: value.contiguous() for key, value in values.items() if not key.startswith(_VIDEO)}
    version, size, _ = parse_base_name(name)
    check_fit(NativeSam2(version, size), image_values, checkpoint, name)
    return image_values


def random_weights(name: str) -> dict[str, torch.Tensor]:
    """The tensors of an untrained network, initialised with the seed in ``name``."""
    version, size, seed = parse_base_name(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        return {key: value.contiguous() for key, value in NativeSam2(version, size).state_dict().items()}


def save_base(path: Path, values: dict[str, torch.Tensor], source: str) -> None:
    """Write base weights; ``source`` is their origin, for every run record."""
    with atomic(path) as temporary:
        save_file(values, temporary, metadata={"source": source})

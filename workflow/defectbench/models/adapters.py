"""Parts of a larger network that were trained: loading them on top of the base weights, and merging LoRA adapters."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from defectbench.models.checkpoint_files import trained_tensors
from defectbench.script import UserError


class WeightsError(UserError):
    """Weights that are absent, damaged, or not of this network."""


def read_tensors(path: Path, remedy: str = "") -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        WeightsError: if it is none; ``remedy`` ends the message.
    """
    try:
        values = load_file(path)
        with safe_open(path, "pt") as file:
            return values, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is no file of weights: {error}{remedy}") from None


def check_fit(network: nn.Module, values: Mapping[str, torch.Tensor], path: Path, name: str) -> None:
    """Refuse ``values`` of ``path`` that are not exactly the tensors of ``network``, which is a ``name``.

    Raises:
        WeightsError: with the first few tensors that are wrong.
    """
    own = network.state_dict()
    problems = [f"{key} is missing" for key in own if key not in values]
    problems += [f"{key} is not in the network" for key in values if key not in own]
    problems += [
        f"{key} is {_shape(values[key])}, in the network {_shape(own[key])}"
        for key in own
        if key in values and values[key].shape != own[key].shape
    ]
    if problems:
        shown = "\n  ".join(problems[:8]) + ("\n  ..." if len(problems) > 8 else "")
        raise WeightsError(f"{path} does not fit {name}: {len(problems)} tensors are wrong:\n  {shown}")


def _shape(tensor: torch.Tensor) -> str:
    return " × ".join(map(str, tensor.shape)) or "a number"


def merge_lora(module: nn.Module) -> None:
    """Add the adapters to the weights that they adapt, and put the plain layers back, in place."""
    from peft.tuners.lora import LoraLayer  # here, because its import takes seconds

    for name, layer in list(module.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge(safe_merge=True)
            module.set_submodule(name, layer.get_base_layer())


def load_trained(module: nn.Module, path: Path, base_sha256: str) -> None:
    """Fill the parameters that train with the file's; the others must be those of the base it was trained on.

    Raises:
        WeightsError: if the file cannot be read, belongs on another base, or holds other tensors.
    """
    values, metadata = read_tensors(path)
    if metadata.get("base_sha256") != base_sha256:
        raise WeightsError(
            f"{path} was trained on a base with the SHA-256 {metadata.get('base_sha256')}, "
            f"and is given one with {base_sha256}: take the base that it was trained on, or train again"
        )
    own = trained_tensors(module)
    wrong = sorted(set(own) ^ set(values))
    wrong += [name for name in own if name in values and own[name].shape != values[name].shape]
    if wrong:
        raise WeightsError(f"{path}: {len(wrong)} tensors do not fit, the first is {wrong[0]}: other settings?")
    module.load_state_dict(values, strict=False)

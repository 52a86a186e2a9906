"""LoRA adapters, and loading of weights: of whole networks, or of trained parts on top of base weights."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from defectbench.models.checkpoint_files import trained_tensors
from defectbench.script import UserError


class WeightsError(UserError):
    """Weights that are missing, damaged, or of another network."""


def read_tensors(path: Path, remedy: str = "") -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        WeightsError: if it cannot be read as one; ``remedy`` ends the message.
    """
    try:
        values = load_file(path)
        with safe_open(path, "pt") as file:
            return values, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read as weights: {error}{remedy}") from None


def check_fit(network: nn.Module, values: Mapping[str, torch.Tensor], path: Path, name: str) -> None:
    """Refuse ``values`` of ``path`` that are not exactly the tensors of ``network``, which messages call ``name``.

    Raises:
        WeightsError: with the first few tensors that do not fit.
    """
    tensors = network.state_dict()
    problems = [f"{key} is missing" for key in tensors if key not in values]
    problems += [f"{key} is not in the network" for key in values if key not in tensors]
    problems += [
        f"{key} is {_format_shape(values[key])}, in the network {_format_shape(tensors[key])}"
        for key in tensors
        if key in values and values[key].shape != tensors[key].shape
    ]
    if problems:
        lines = "\n  ".join(problems[:8]) + ("\n  ..." if len(problems) > 8 else "")
        raise WeightsError(f"{path} does not fit {name}: {len(problems)} tensors do not fit:\n  {lines}")


def _format_shape(tensor: torch.Tensor) -> str:
    return " × ".join(map(str, tensor.shape)) or "a number"


def add_lora(
    module: nn.Module, target: str, *, rank: int, alpha: float, dropout: float, dora: bool, rslora: bool = False
) -> None:
    """Freeze ``module`` and add trainable adapters to the layers whose names match ``target``, in place.

    Args:
        module: The network.
        target: Regular expression of the names of layers.
        rank: Of the adapters.
        alpha: Their scale is alpha / rank, with ``rslora`` alpha / sqrt(rank).
        dropout: Dropout of the adapters' inputs.
        dora: Whether the weights' magnitudes are trained too.
        rslora: See alpha.

    Raises:
        WeightsError: if ``target`` matches no layer.
    """
    from peft import LoraConfig, inject_adapter_in_model  # here, because its import takes seconds

    module.requires_grad_(False)
    config = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, use_dora=dora, use_rslora=rslora, target_modules=target
    )
    try:
        inject_adapter_in_model(config, module)
    except ValueError as error:
        linear = sorted(name for name, layer in module.named_modules() if isinstance(layer, nn.Linear))
        raise WeightsError(
            f"lora_target: {target!r} fits no layer that can be adapted ({error}). Linear layers have "
            f"names such as {linear[0]} and {linear[-1]}"
        ) from None


def merge_lora(module: nn.Module) -> None:
    """Merge LoRA adapters into the weights that they adapt, and restore the plain layers, in place."""
    from peft.tuners.lora import LoraLayer

    for name, layer in list(module.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge(safe_merge=True)
            module.set_submodule(name, layer.get_base_layer())


def load_trained(module: nn.Module, path: Path, base_sha256: str) -> None:
    """Load trained parameters from ``path``; ``module`` already has the base weights with digest ``base_sha256``.

    Raises:
        WeightsError: if the file cannot be read, was trained on another base, or holds other tensors.
    """
    values, metadata = read_tensors(path)
    if metadata.get("base_sha256") != base_sha256:
        raise WeightsError(
            f"{path} was trained on base weights with the SHA-256 {metadata.get('base_sha256')}, not on these, with "
            f"{base_sha256}: use the base weights that it was trained on, or train again"
        )
    tensors = trained_tensors(module)
    wrong = sorted(set(tensors) ^ set(values))
    wrong += [name for name in tensors if name in values and tensors[name].shape != values[name].shape]
    if wrong:
        raise WeightsError(f"{path}: {len(wrong)} tensors do not fit, the first is {wrong[0]}: other settings?")
    module.load_state_dict(values, strict=False)

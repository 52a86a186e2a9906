"""What was trained of a larger network: files that hold just that, and LoRA adapters merged into their base."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from defectbench.files import atomic
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


def trained_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """The parameters that train, by name."""
    return {name: value.detach() for name, value in module.named_parameters() if value.requires_grad}


def save_trained(path: Path, values: Mapping[str, torch.Tensor], base_sha256: str) -> None:
    """Write what was trained, with the digest of the base that it belongs on, atomically."""
    with atomic(path) as temporary:
        save_file({name: value.contiguous() for name, value in values.items()}, temporary, {"base_sha256": base_sha256})


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


def save_kept(
    network: nn.Module, kept: Mapping[str, Mapping[str, torch.Tensor]], folder: Path, base_sha256: str
) -> Path:
    """Write what was trained in every kept checkpoint, best first, and the best again as model/weights.safetensors.

    Returns the latter's path; without checkpoints (zero-shot) it holds no tensor, only the digest of its base.
    """
    names = trained_tensors(network).keys()
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for checkpoint, values in kept.items():
        path = folder / "checkpoints" / f"{checkpoint}.safetensors"
        save_trained(path, {name: values[name] for name in names}, base_sha256)
    best = folder / "model" / "weights.safetensors"
    values = next(iter(kept.values())) if kept else {}
    save_trained(best, {name: values[name] for name in names if kept}, base_sha256)
    return best

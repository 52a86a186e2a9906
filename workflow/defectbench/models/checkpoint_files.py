"""Safetensors files of a training's checkpoints: whole networks, or only the tensors that were trained."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from defectbench.digests import atomic_with_digest
from defectbench.files import atomic


def trained_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """The trainable parameters, by name."""
    return {name: value.detach() for name, value in module.named_parameters() if value.requires_grad}


def write_checkpoints(
    folder: Path,
    checkpoints: Mapping[str, Mapping[str, torch.Tensor]],
    metadata: dict[str, str] | None = None,
    names: Iterable[str] | None = None,
) -> Path:
    """Write all ``checkpoints`` to ``folder/checkpoints`` and the first, the best, to ``model/weights.safetensors``.

    Args:
        folder: Of the experiment; checkpoints of an earlier training are removed.
        checkpoints: Name -> tensors by name, the best first; if empty (zero-shot), the model's file has no tensors.
        metadata: For the header of every file.
        names: The tensors to write; None: all of them.

    Returns:
        Path of the model's file.
    """
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for name, values in checkpoints.items():
        with atomic(folder / "checkpoints" / f"{name}.safetensors") as temporary:
            save_file(_contiguous(values, names), temporary, metadata)
    model = folder / "model" / "weights.safetensors"
    best = next(iter(checkpoints.values())) if checkpoints else {}
    with atomic_with_digest(model) as temporary:
        save_file(_contiguous(best, names if checkpoints else ()), temporary, metadata)
    return model


def _contiguous(values: Mapping[str, torch.Tensor], names: Iterable[str] | None) -> dict[str, torch.Tensor]:
    return {name: values[name].contiguous() for name in (values if names is None else names)}

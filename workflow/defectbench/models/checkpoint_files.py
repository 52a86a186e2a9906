"""Safetensors files of a training's checkpoints: whole networks, or only the tensors that were trained."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

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
        _write(folder / "checkpoints" / f"{name}.safetensors", values, metadata, names)
    model = folder / "model" / "weights.safetensors"
    best = next(iter(checkpoints.values())) if checkpoints else {}
    _write(model, best, metadata, names if checkpoints else ())
    return model


def _write(
    path: Path, values: Mapping[str, torch.Tensor], metadata: dict[str, str] | None, names: Iterable[str] | None
) -> None:
    tensors = {name: values[name].contiguous() for name in (values if names is None else names)}
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata)

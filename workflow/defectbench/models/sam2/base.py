"""The weights that a SAM 2 starts from, as safetensors of the still-image parts."""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from defectbench.config.sam2 import parse_base_name
from defectbench.models.sam2.native import NativeSam2
from defectbench.script import UserError


class WeightsError(UserError):
    """Weights that are absent, damaged, or not of this network."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in parts."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_base(path: Path, name: str) -> tuple[NativeSam2, dict[str, str]]:
    """The network with the weights that :func:`save_base` wrote, and where they come from, for the run record.

    Raises:
        WeightsError: if the file is not there, is damaged, or is that of another version or size.
    """
    try:
        values = load_file(path)
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is no file of weights: {error}. Make it with the rule weights_sam2") from None
    version, size, _ = parse_base_name(name)
    network = NativeSam2(version, size)
    check_fit(network, values, path, name)
    network.load_state_dict(values)
    return network, {"weights_source": metadata.get("source", "unknown"), "base_sha256": file_sha256(path)}


def check_fit(network: NativeSam2, values: dict[str, torch.Tensor], path: Path, name: str) -> None:
    """Refuse ``values`` of ``path`` that are not exactly the tensors of ``network``, which is a ``name``.

    Raises:
        WeightsError: with the first few tensors that are wrong.
    """
    own = network.state_dict()
    problems = [f"{key} is missing" for key in own if key not in values]
    problems += [f"{key} is not in the network" for key in values if key not in own]
    problems += [
        f"{key} is {tuple(values[key].shape)}, in the network {tuple(own[key].shape)}"
        for key in own
        if key in values and values[key].shape != own[key].shape
    ]
    if problems:
        shown = "\n  ".join(problems[:5]) + ("\n  ..." if len(problems) > 5 else "")
        raise WeightsError(f"{path} does not fit {name}: {len(problems)} tensors are wrong:\n  {shown}")

"""The published weights of YOLO networks: pickles of whole networks, of which nothing but the tensors is read."""

import io
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from defectbench.digests import atomic_with_digest
from defectbench.models.adapters import WeightsError

_DAMAGED = (
    *(pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError),
    *(LookupError, AttributeError),
)


class _Inert:
    """Stands for each object of a pickle that is no tensor or plain container: it keeps its state and runs nothing."""

    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


def convert_checkpoint(checkpoint: bytes, out: Path, origin: dict[str, str]) -> None:
    """Write the weights in a published ``checkpoint`` as safetensors, float32, ``origin`` in the header.

    Raises:
        WeightsError: if it is no checkpoint of ultralytics; ``origin["url"]`` names it.
    """
    try:
        tensors = dict(_tensors(_read_network(checkpoint)))
    except _DAMAGED as error:
        raise WeightsError(f"{origin['url']} is not used: it holds no weights of a YOLO network: {error}") from None
    with atomic_with_digest(out) as temporary:
        save_file(tensors, temporary, {"origin": json.dumps(origin)})


def _read_network(checkpoint: bytes) -> _Inert:
    """The network of a checkpoint: its averaged weights, if there are such."""
    names = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(checkpoint))
    with torch.serialization.safe_globals([(_Inert, name) for name in names]):
        content = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)
    network = content.get("ema") or content["model"]
    if not isinstance(network, _Inert):
        raise TypeError(f"{type(network).__name__} is no network")
    return network


def _tensors(module: _Inert, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers below ``module``, by the names that its ``state_dict`` gives them."""
    passing = module.state["_non_persistent_buffers_set"]
    buffers = {name: value for name, value in module.state["_buffers"].items() if name not in passing}
    for name, value in (module.state["_parameters"] | buffers).items():
        if value is not None:
            tensor = value.detach().contiguous()
            yield prefix + name, tensor.float() if tensor.is_floating_point() else tensor
    for name, part in module.state["_modules"].items():
        if part is not None:
            yield from _tensors(part, f"{prefix}{name}.")

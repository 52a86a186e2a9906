"""Initial weights: ImageNet encoders of the model hub, and files of earlier trainings."""

import json
from collections.abc import Sequence
from pathlib import Path

import httpx
import huggingface_hub
import timm
from huggingface_hub import constants
from segmentation_models_pytorch.encoders import encoders
from torch import nn

from defectbench.families.unet.network import PretrainedEncoder
from defectbench.files import file_sha256
from defectbench.models.adapters import WeightsError, check_fit, read_tensors


def fetch_encoder(name: str) -> PretrainedEncoder:
    """The ImageNet weights of encoder ``name`` in the local cache, downloaded if they are not there.

    Raises:
        WeightsError: if the download fails, or the file differs from what the hub lists.
    """
    if name.startswith("tu-"):
        settings = timm.get_pretrained_cfg(name.removeprefix("tu-"))
        if settings is None or not settings.hf_hub_id:
            raise WeightsError(f"timm has no weights for {name!r} on the model hub; use encoder_weights: none")
        path = _download(settings.hf_hub_id, "model.safetensors", None)
        return _describe(settings.hf_hub_id, path, settings.mean, settings.std)
    source = encoders[name]["pretrained_settings"]["imagenet"]
    path = _download(source["repo_id"], "model.safetensors", source["revision"])
    config = json.loads(_download(source["repo_id"], "config.json", source["revision"]).read_text(encoding="utf-8"))
    return _describe(source["repo_id"], path, config["mean"], config["std"])


def _describe(repository: str, path: Path, mean: Sequence[float], std: Sequence[float]) -> PretrainedEncoder:
    # In the hub's cache the folder of a file has the name of the commit.
    return PretrainedEncoder(repository, path.parent.name, _checked_sha256(path), tuple(mean), tuple(std))


def _download(repository: str, filename: str, revision: str | None) -> Path:
    # The hub's client asks for a newer version even if it has the file.
    cached = huggingface_hub.try_to_load_from_cache(repository, filename, revision=revision)
    if isinstance(cached, str):
        return Path(cached)
    try:
        return Path(huggingface_hub.hf_hub_download(repository, filename, revision=revision))
    except (OSError, httpx.HTTPError) as error:
        place = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "snapshots"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        url = huggingface_hub.hf_hub_url(repository, filename, revision=revision)
        where = (
            f"put the file at {place / revision / filename}"
            if revision
            else f"copy the folder {place.parent} of a machine that has it"
        )
        raise WeightsError(
            f"pretrained weights are absent: {filename} of {repository}, and the download failed ({reason}).\n"
            f"From: {url} (the page of the file shows its SHA-256)\nTo use it here: {where}; "
            "or start from random weights with encoder_weights: none."
        ) from None


def _checked_sha256(path: Path) -> str:
    """SHA-256 of a file in the hub's cache, which stores large files under their digest."""
    digest = file_sha256(path)
    listed = path.resolve().stem
    if path.is_symlink() and len(listed) == len(digest) and listed != digest:
        raise WeightsError(f"{path} has the SHA-256 {digest}, not the hub's {listed}: delete it to download it again")
    return digest


def load_weights(network: nn.Module, path: Path) -> None:
    """Load the safetensors file ``path`` into ``network``.

    Raises:
        WeightsError: if the file cannot be read; or with the names of the tensors that do not fit.
    """
    try:
        values, _ = read_tensors(path)
        check_fit(network, values, path, "this network")
    except WeightsError as error:
        raise WeightsError(f"init_from: {error}") from None
    network.load_state_dict(values)

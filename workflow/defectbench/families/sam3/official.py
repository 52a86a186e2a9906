"""The official checkpoint of SAM 3: download, and conversion of its image detector to base weights."""

import json
import os
from pathlib import Path

import httpx
import huggingface_hub
import torch
from huggingface_hub.errors import GatedRepoError
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import CLIPTokenizer, Sam3Config, Sam3Model

from defectbench.config.families.sam3 import HUB
from defectbench.families.sam3.phrases import serialize_tokenizer
from defectbench.families.sam3.weights import ATTENTION, BaseWeights, read_config
from defectbench.files import file_sha256
from defectbench.models.adapters import WeightsError

WEIGHTS = "model.safetensors"
FILES = ("config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json")
# The official file also holds the tracker of videos, which shares the image encoder.
_TYPES = ("sam3", "sam3_video")
_TEXT = ("text_encoder.", "text_projection.")


def fetch_official(folder: Path) -> Path:
    """``folder`` with the files of the official checkpoint; those that are not there are downloaded to it.

    Raises:
        WeightsError: if a download fails: which file, where from, and where to put it.
    """
    for name in FILES:
        if not (folder / name).is_file():
            try:
                huggingface_hub.hf_hub_download(HUB, name, local_dir=folder)
            except (OSError, httpx.HTTPError) as error:
                raise WeightsError(_absence_message(folder, name, error)) from None
    return folder


def _absence_message(folder: Path, name: str, error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    if isinstance(error, GatedRepoError):
        reason = "access is restricted"
    token = "a token was given" if os.environ.get("HF_TOKEN") or huggingface_hub.get_token() else "no token was given"
    return (
        f"pretrained weights are absent: {name} of SAM 3, and the download failed ({reason}; {token}).\n"
        f"From: https://huggingface.co/{HUB}: accept the licence there, then set HF_TOKEN to a token of your account, "
        f"or call `hf auth login`.\nSHA-256: the page of {WEIGHTS} shows it; run.json has that of the weights used.\n"
        f"To use it on a machine without network, put {', '.join(FILES)} into {folder}; or start from a "
        "reduced network with random weights: size: nano, init: random."
    )


def read_official(folder: Path) -> BaseWeights:
    """The detector in the checkpoint of ``folder``, with its tokenizer.

    Raises:
        WeightsError: if the folder holds another model, or one without a text encoder.
    """
    config = _read_config(folder)
    try:
        # Of the folder only these files are used: others could point to another model, or be pickles.
        network, report = Sam3Model.from_pretrained(
            None,
            config=config,
            state_dict=load_file(folder / WEIGHTS),
            dtype=torch.float32,
            attn_implementation=ATTENTION,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, LookupError, SafetensorError) as error:
        raise WeightsError(f"{folder / WEIGHTS} is not used: {error}") from None
    missing = sorted(report["missing_keys"])
    if missing:
        lacks_text = any(name.startswith(_TEXT) for name in missing)
        reason = "it has no text encoder, so it cannot be prompted with phrases" if lacks_text else "parts are missing"
        raise WeightsError(
            f"{folder / WEIGHTS} is not used: {reason}: {len(missing)} tensors are missing, the first is "
            f"{missing[0]}. Use the checkpoint of {HUB}"
        )
    if report["mismatched_keys"] or report["unexpected_keys"]:
        wrong = sorted(str(name) for name in [*report["mismatched_keys"], *report["unexpected_keys"]])
        raise WeightsError(f"{folder / WEIGHTS} does not fit its config.json: {len(wrong)} tensors, first {wrong[0]}")
    tokenizer, digest = _read_tokenizer(folder), file_sha256(folder / WEIGHTS)
    return BaseWeights(network.state_dict(), network.config, tokenizer, HUB, digest)


def _read_config(folder: Path) -> Sam3Config:
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as a configuration: {error}") from None
    kind = values.get("model_type")
    if kind not in _TYPES:
        raise WeightsError(f"{path} belongs to a {kind}, which takes no phrases; use the sam3 of {HUB}")
    if kind == "sam3_video":
        values = values["detector_config"]
    return read_config(values, path)


def _read_tokenizer(folder: Path) -> str:
    try:
        return serialize_tokenizer(CLIPTokenizer.from_pretrained(folder, local_files_only=True))
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{folder} has no tokenizer of SAM 3: {error}") from None

"""Base weights of SAM 3: one file of tensors, configuration, tokenizer and origin."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import save_file
from transformers import Sam3Config, Sam3Model
from transformers.utils import logging

from defectbench.config.families.sam3 import Sam3Settings, parse_base_name
from defectbench.digests import atomic_with_digest
from defectbench.families.sam3.phrases import LENGTH, letter_tokenizer, serialize_tokenizer
from defectbench.files import file_sha256
from defectbench.models.adapters import WeightsError, check_fit, read_tensors

PATCH = Sam3Settings.PATCHES["nano"]
# All that a file of a configuration may say in words. Other words of it name code to load, such as attention kernels,
# or files and models to use instead.
_WORDS = {"model_type", "hidden_act", "rope_type"}
_GROUPS = {
    *("vision_config", "backbone_config", "text_config", "geometry_encoder_config", "detr_encoder_config"),
    *("detr_decoder_config", "mask_decoder_config", "rope_parameters"),
}
ATTENTION = "sdpa"
"""Torch's own attention: the implementation is ours to choose, not that of a file."""

logging.disable_progress_bar()


@dataclass(frozen=True)
class BaseWeights:
    """Contents of a file of base weights."""

    values: Mapping[str, torch.Tensor]
    config: Sam3Config
    tokenizer: str
    """JSON of the ``tokenizers`` library"""
    source: str
    """Origin of the weights, for every run record."""
    official_sha256: str = ""
    """Of the file that they were read from; empty for random ones."""


def save_base(path: Path, base: BaseWeights) -> None:
    """Write base weights as one safetensors file with configuration and tokenizer in its metadata, atomically."""
    metadata = {
        "config": json.dumps(base.config.to_dict()),
        "tokenizer": base.tokenizer,
        "source": base.source,
        "official_sha256": base.official_sha256,
    }
    with atomic_with_digest(path) as temporary:
        save_file({name: value.contiguous() for name, value in base.values.items()}, temporary, metadata)


def read_config(values: Mapping[str, Any], path: Path) -> Sam3Config:
    """The network's configuration in ``values``, read from ``path``: its numbers, and words that choose no code.

    Raises:
        WeightsError: if it is not one of SAM 3.
    """
    try:
        return Sam3Config.from_dict(_keep_numbers(values))
    except (ValueError, TypeError, LookupError, AttributeError, StrictDataclassError) as error:
        raise WeightsError(f"{path} has no configuration of SAM 3: {error}") from None


def _keep_numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            kept |= {key: _keep_numbers(value)} if key in _GROUPS else {}
        elif isinstance(value, list):
            kept |= {key: value} if all(isinstance(part, int | float) for part in value) else {}
        elif not isinstance(value, str) or key in _WORDS:
            kept[key] = value
    return kept


def load_base(path: Path, size: tuple[int, int]) -> tuple[Sam3Model, str, dict[str, str]]:
    """Network and tokenizer of the base weights in ``path``, and their origin, for the run record.

    ``size`` is the height and width of the position grid in pixels; no weight depends on it.

    Raises:
        WeightsError: if the file is missing, damaged, or of another kind.
    """
    remedy = ". Make it with the rule weights_sam3"
    values, metadata = read_tensors(path, remedy)
    if not {"config", "tokenizer", "source"} <= metadata.keys():
        raise WeightsError(f"{path} is no file of base weights of SAM 3: no configuration, no tokenizer{remedy}")
    config = read_config(json.loads(metadata["config"]), path)
    config.image_size = size[::-1]  # the width first
    with torch.device("meta"):
        check_fit(Sam3Model(config), values, path, "its own configuration")
    network = Sam3Model.from_pretrained(
        None, config=config, state_dict=values, dtype=torch.float32, attn_implementation=ATTENTION
    )
    origin = {"weights_source": metadata["source"], "base_sha256": file_sha256(path)}
    if official := metadata.get("official_sha256"):
        origin["official_sha256"] = official
    return network.train(), metadata["tokenizer"], origin


def random_base(name: str) -> BaseWeights:
    """An untrained nano, initialised with the seed in ``name``."""
    config = nano_config()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(parse_base_name(name) or 0)
        network = Sam3Model(config)
        init_patches(network)
    return BaseWeights(network.state_dict(), config, serialize_tokenizer(letter_tokenizer()), "random")


@torch.no_grad()
def init_patches(network: Sam3Model) -> None:
    """Draw the first layer of an untrained network so that contrast reaches the others, in place.

    The layer norm behind it divides each token by its own spread. With the package's initial weights that is the
    brightness of the patch, so that neither brightness nor texture is left. Here it is that of a large vector which all
    tokens have in common, and filters answer to texture and to brightness alike.
    """
    embeddings = network.vision_encoder.backbone.embeddings
    embeddings.position_embeddings.normal_()
    filters = embeddings.patch_embeddings.projection.weight
    brightness = torch.randn(len(filters), 1, 1, 1) / filters[0].numel()
    filters.sub_(filters.mean(dim=(1, 2, 3), keepdim=True)).mul_(4).add_(brightness)


def nano_config() -> Sam3Config:
    """A reduced SAM 3 with all parts of the full one: patches of 8 pixels, windows, FPN, DETR, queries."""
    tokenizer = letter_tokenizer()
    width, heads, spread = 32, 4, 0.1
    # Larger than the full network's 0.02, with which so narrow a network would lose the image.
    common = {"hidden_size": width, "num_attention_heads": heads, "initializer_range": spread}
    detr = common | {"num_layers": 1, "intermediate_size": 4 * width, "dropout": 0.0}
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 2 * width,
        "num_attention_heads": heads,
        "initializer_range": spread,
        "intermediate_size": 8 * width,
        "num_hidden_layers": 3,
        "patch_size": PATCH,
        # The embeddings of positions are tiled from this size: one for all. Rotary embeddings have the positions.
        "pretrain_image_size": PATCH,
        "window_size": 8,
        "global_attn_indexes": [2],
    }
    text = common | {
        "model_type": "clip_text_model",
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "projection_dim": width,
        "max_position_embeddings": LENGTH,
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return Sam3Config(
        vision_config={"backbone_config": backbone, "fpn_hidden_size": width, "initializer_range": spread},
        text_config=text,
        geometry_encoder_config=detr,
        detr_encoder_config=detr,
        detr_decoder_config=detr | {"num_queries": 8},
        mask_decoder_config=common | {"dropout": 0.0},
        initializer_range=spread,
    )

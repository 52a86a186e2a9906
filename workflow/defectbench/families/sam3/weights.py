"""Base weights of SAM 3: one file of tensors, configuration, tokenizer and origin."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Sam3Config, Sam3Model
from transformers.utils import logging

from defectbench.config.families.sam3 import parse_base_name
from defectbench.families.sam3.phrases import LENGTH, letter_tokenizer, serialize_tokenizer
from defectbench.files import atomic, file_sha256
from defectbench.models.adapters import WeightsError, check_fit, read_tensors

TINY_SIDE = 112

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


def save_base(path: Path, base: BaseWeights) -> None:
    """Write base weights as one safetensors file with configuration and tokenizer in its metadata, atomically."""
    metadata = {"config": json.dumps(base.config.to_dict()), "tokenizer": base.tokenizer, "source": base.source}
    with atomic(path) as temporary:
        save_file({name: value.contiguous() for name, value in base.values.items()}, temporary, metadata)


def load_base(path: Path) -> tuple[Sam3Model, str, dict[str, str]]:
    """Network and tokenizer of the base weights in ``path``, and their origin, for the run record.

    Raises:
        WeightsError: if the file is missing, damaged, or of another kind.
    """
    remedy = ". Make it with the rule weights_sam3"
    values, metadata = read_tensors(path, remedy)
    if not {"config", "tokenizer", "source"} <= metadata.keys():
        raise WeightsError(f"{path} is no file of base weights of SAM 3: no configuration, no tokenizer{remedy}")
    config = Sam3Config(**json.loads(metadata["config"]))
    with torch.device("meta"):
        check_fit(Sam3Model(config), values, path, "its own configuration")
    network = Sam3Model.from_pretrained(None, config=config, state_dict=values, dtype=torch.float32)
    origin = {"weights_source": metadata["source"], "base_sha256": file_sha256(path)}
    return network.train(), metadata["tokenizer"], origin


def random_base(name: str) -> BaseWeights:
    """An untrained tiny network, initialised with the seed in ``name``."""
    config = tiny_config()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(parse_base_name(name) or 0)
        values = Sam3Model(config).state_dict()
    return BaseWeights(values, config, serialize_tokenizer(letter_tokenizer()), "random")


def tiny_config() -> Sam3Config:
    """A tiny SAM 3 with all parts of the full one: 112 pixels, 8 × 8 patches, windows, FPN, DETR, queries."""
    tokenizer = letter_tokenizer()
    width, heads, spread = 32, 4, 0.15
    # Larger than the full network's 0.02, with which so narrow a network would lose the image.
    common = {"hidden_size": width, "num_attention_heads": heads, "initializer_range": spread}
    detr = common | {"num_layers": 2, "intermediate_size": 2 * width}
    backbone = common | {
        "model_type": "sam3_vit_model",
        "intermediate_size": 2 * width,
        "num_hidden_layers": 4,
        "image_size": TINY_SIDE,
        "pretrain_image_size": TINY_SIDE // 2,
        "window_size": 4,
        "global_attn_indexes": [1, 3],
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
    side = TINY_SIDE // 14
    vision = {
        "backbone_config": backbone,
        "fpn_hidden_size": width,
        "backbone_feature_sizes": [[scale * side, scale * side] for scale in (4, 2, 1)],
        "initializer_range": spread,
    }
    return Sam3Config(
        vision_config=vision,
        text_config=text,
        geometry_encoder_config=detr,
        detr_encoder_config=detr,
        detr_decoder_config=detr | {"num_queries": 8},
        mask_decoder_config=common,
        initializer_range=spread,
    )

"""The sam2 package's own predictor and training, and images for them."""

import sys
import types
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch
from hydra import compose
from hydra.utils import instantiate
from sam2.build_sam import build_sam2
from sam2.sam2_image_predictor import SAM2ImagePredictor

from defectbench.families.sam2.network import NativeSam2, model_config


def picture(seed: int, height: int = 64, width: int = 96, channels: int = 1) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (channels, height, width), dtype=np.uint8))


def official(network: NativeSam2, side: int, version: str = "2.1", size: str = "tiny") -> SAM2ImagePredictor:
    """The package's predictor as a user builds it, with the same weights, for square images of ``side``."""
    config, overrides = model_config(version, size)
    sam = build_sam2(config, device="cpu", hydra_overrides_extra=[*overrides, f"model.image_size={side}"])
    _load(sam, network)
    predictor = SAM2ImagePredictor(sam)
    predictor._bb_feat_sizes = [(side // 4, side // 4), (side // 8, side // 8), (side // 16, side // 16)]
    return predictor


def official_training(network: NativeSam2, side: int, **keys: object) -> tuple[torch.nn.Module, Callable]:
    """The package's network in training, with the same weights, and its loss, with its published settings.

    ``network`` is of version 2.1, size tiny. ``keys`` are settings of SAM2Train.
    """
    # Of two modules that need packages which are not installed, these names alone are used.
    for name, value in (("utils.data_utils.BatchedVideoDatapoint", object), ("trainer.CORE_LOSS_KEY", "core_loss")):
        module, _, attribute = f"training.{name}".rpartition(".")
        sys.modules.setdefault(module, types.ModuleType(module)).__dict__.setdefault(attribute, value)
    changes = {"_target_": "training.model.sam2.SAM2Train", "image_size": side, **keys}
    overrides = [f"++model.{name}={value}" for name, value in changes.items()]
    config, _ = model_config("2.1", "tiny")
    options = {"apply_postprocessing": False, "hydra_overrides_extra": overrides}
    sam = build_sam2(config, device="cpu", mode="train", **options)
    _load(sam, network)
    published = compose("configs/sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml").trainer
    return sam, instantiate(published.loss["all"])


def training_batch(pixels: torch.Tensor, masks: torch.Tensor, index: list[int]) -> SimpleNamespace:
    """Normalised ``pixels`` (B, 3, H, W) and ``masks`` (P, H, W), of the images ``index``, as videos of one frame."""
    images = torch.tensor([index])
    return SimpleNamespace(flat_img_batch=pixels, masks=masks.bool()[None], num_frames=1, flat_obj_to_img_idx=images)


def _load(sam: torch.nn.Module, network: NativeSam2) -> None:
    missing, unexpected = sam.load_state_dict(network.state_dict(), strict=False)
    assert not unexpected
    assert not [name for name in missing if name.startswith(("image_encoder", "sam_"))]

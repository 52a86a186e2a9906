"""A trained CNN of the UNet family as a predictor."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from defectbench.config.families.unet import UNetSettings
from defectbench.families.unet.network import UNet
from defectbench.inference.geometry import Geometry
from defectbench.inference.network import NetworkPredictor
from defectbench.inference.tiling import Tiling
from defectbench.inference.tta import Predictor, augmented


def load_unet(run: dict[str, Any], weights: Path, device: torch.device) -> Predictor:
    """The network of a run record (run.json) with its ``weights``, predicting as its settings say.

    It maps a uint8 image (H, W) or (H, W, 3) to codes (C, H, W) of the record's classes.
    """
    settings = UNetSettings.model_validate(run["settings"])
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    network = UNet(settings, run["in_channels"], len(run["classes"]))
    network.load_state_dict(load_file(weights))
    tiling = Tiling(settings.crop_size, settings.overlap) if settings.prediction == "tiles" else None
    predictor = NetworkPredictor(network, Geometry.of(settings.img_size, settings.resize), device, tiling)
    return augmented(predictor, settings.tta)

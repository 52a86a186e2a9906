"""A trained CNN of the U-Net family as a predictor."""

from typing import Any

from safetensors.torch import load_file

from defectbench.config.families.unet import UNetSettings
from defectbench.families.unet.network import UNet
from defectbench.inference.network import configure_torch, make_network_predictor
from defectbench.inference.predictor import ModelFiles, Predictor


def load_predictor(run: dict[str, Any], files: ModelFiles, device: str) -> Predictor:
    """The network of a run record (run.json) with its weights; see :mod:`defectbench.families.contract`."""
    settings = UNetSettings.model_validate(run["settings"])
    configure_torch(settings.threads)
    network = UNet(settings, run["in_channels"], len(run["classes"]))
    network.load_state_dict(load_file(files.weights))
    return make_network_predictor(network, settings, device)

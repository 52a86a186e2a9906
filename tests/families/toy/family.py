"""The toy family: two convolutions, what trains them, and what predicts with them."""

from typing import Any

import torch
from defectbench.config.families.toy import ToySettings
from safetensors.torch import load_file
from torch import nn

from defectbench.inference.network import configure_torch, make_network_predictor
from defectbench.inference.predictor import ModelFiles, Predictor
from defectbench.models.segmentation_heads import init_output_layer
from defectbench.training.losses import make_loss
from defectbench.training.network_job import NetworkJob, Training


class Toy(nn.Module):
    """From uint8 images (B, C, H, W) to logits (B, n_maps, H, W)."""

    def __init__(self, settings: ToySettings, in_channels: int, n_maps: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, settings.channels, 5, padding=2)
        self.last = nn.Conv2d(settings.channels, n_maps, 1)
        init_output_layer(self.last)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of ``images``."""
        return self.last(torch.relu(self.first(images.float() / 255)))


def build_training(settings: ToySettings, job: NetworkJob) -> Training:
    """Network and loss of ``settings``; see :mod:`defectbench.families.contract`."""
    network = Toy(settings, job.in_channels, len(job.classes))
    return Training(network, make_loss(settings.loss), {"weights_source": "random"})


def load_predictor(run: dict[str, Any], files: ModelFiles, device: str) -> Predictor:
    """The network of a run record (run.json) with its weights; see :mod:`defectbench.families.contract`."""
    settings = ToySettings.model_validate(run["settings"])
    configure_torch(settings.threads)
    network = Toy(settings, run["in_channels"], len(run["classes"]))
    network.load_state_dict(load_file(files.weights))
    return make_network_predictor(network, settings, device)

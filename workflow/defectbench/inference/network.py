"""Prediction of codes by a trained network, and the device that it runs on."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from defectbench.config.train import TrainSettings
from defectbench.inference.geometry import Geometry
from defectbench.inference.predictor import Predictor
from defectbench.inference.tiling import Tiling
from defectbench.inference.tta import add_tta
from defectbench.metrics.codes import codes_from_logits


class NetworkPredictor:
    """Calls a network on one image at a time, in float32 whatever the training's precision."""

    def __init__(
        self, network: nn.Module, geometry: Geometry, device: torch.device, tiling: Tiling | None = None
    ) -> None:
        """``network`` maps uint8 images (B, C, H, W) to logits (B, n_maps, H, W).

        With ``tiling``, it sees an image tile by tile; without, as a whole.
        """
        self.network = network.to(device).eval()
        self.geometry = geometry
        self.device = device
        self.tiling = tiling

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Codes (n_maps, H, W) of a uint8 image (H, W) or (H, W, 3), at the image's own pixels."""
        if self.tiling is None:
            return codes_from_logits(self.logits(image))
        height, width = image.shape[:2]
        return self.tiling.codes(height, width, lambda window: self.logits(image[window]))

    @torch.inference_mode()
    def logits(self, image: np.ndarray) -> np.ndarray:
        """Logits (n_maps, H, W), float32, of an image or tile that the network sees at once."""
        # .cpu() waits for the device, so a caller's clock sees the whole computation.
        logits = self.network(self.make_batch(image))[0].float().cpu().numpy()
        return self.geometry.restore(logits, *image.shape[:2])

    def make_batch(self, image: np.ndarray) -> torch.Tensor:
        """The network's input (1, C, h, w), uint8, on its device, of a uint8 image (H, W) or (H, W, C)."""
        pixels = self.geometry.apply(image)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        # Copied if it is a read-only view of a pack.
        return torch.from_numpy(np.require(pixels, requirements=["C", "W"]))[None].to(self.device)


def make_network_predictor(
    network: nn.Module,
    settings: TrainSettings,
    device: str,
    clock: Callable[[], float] = time.perf_counter,
    kind: type[NetworkPredictor] = NetworkPredictor,
) -> Predictor:
    """The trained ``network`` on ``device``, with image size, tiles and test-time augmentation of its settings."""
    hardware = resolve_device(device)
    geometry = Geometry.of(settings.img_size, settings.resize, settings.input_multiple)
    codes = add_tta(kind(network, geometry, hardware, Tiling.of(settings)), settings.tta)
    return Predictor(codes, device_name(hardware), clock=clock)


def configure_torch(threads: int) -> None:
    """Make predictions of this process deterministic, on ``threads`` CPU threads."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)


def resolve_device(device: str = "auto") -> torch.device:
    """The torch device ``device``, e.g. 'cpu' or 'cuda:1'; 'auto': the GPU if there is one, else the CPU."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def device_name(device: torch.device) -> str:
    """Name of the hardware, for the result row."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    model = torch.cpu.get_capabilities().get("cpu_name", "")
    return " ".join(f"CPU {model} ({threads} thread{'s' if threads > 1 else ''})".split())
